import { expect } from 'chai'
import type { StateLookup } from '../../../../src/services/events/event-assembler.js'
import type { EventLookup } from '../../../../src/services/events/pending-events.js'
import { RedactionRules } from '../../../../src/services/events/redaction-rules.js'
import type { Event } from '../../../../src/protocol/event.js'
import type { MatrixError } from '../../../../src/protocol/errors.js'
import { stateKeyOf } from '../../../../src/protocol/state-map.js'
import type { StoredEvent } from '../../../../src/storage/stores/events.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { plainEvent, rulesOf, type PlainEvent } from '../../../support/auth-room.js'
import { rejection } from '../../../support/rejection.js'

const creator = '@creator:example.org'
const alice = '@alice:example.org'
const mod = '@mod:example.org'
const remote = '@remote:other.example'

function store(event: Event, change: Partial<StoredEvent> = {}): StoredEvent {
  return {
    event,
    eventNid: 1,
    roomNid: 1,
    streamOrdering: 1,
    receivedTs: 1,
    stateBefore: 1,
    stateAfter: 1,
    rejected: null,
    softFailed: false,
    redactedBy: null,
    relatesTo: null,
    relType: null,
    threadRoot: null,
    notifies: false,
    ...change,
  }
}

for (const version of ['1', '10', '11', '12']) {
  describe(`RedactionRules in version ${version}`, () => {
    const rules = rulesOf(version)
    const room = { roomNid: 1, rules } as RoomRecord
    const make = (plain: PlainEvent): Event => plainEvent(rules, plain)
    const create = make({ type: 'm.room.create', sender: creator, stateKey: '', content: { creator } })
    const levels = make({
      type: 'm.room.power_levels',
      sender: creator,
      stateKey: '',
      content: { users: { [mod]: 50 } },
    })
    const state: StateLookup = new Map([
      [stateKeyOf('m.room.create', ''), store(create)],
      [stateKeyOf('m.room.power_levels', ''), store(levels)],
    ])
    const target = (sender: string, change: Partial<StoredEvent> = {}): StoredEvent =>
      store(make({ type: 'm.room.message', sender, eventId: '$target:example.org' }), change)
    const redaction = (sender: string, redacts: string | undefined = '$target:example.org'): Event =>
      make({
        type: 'm.room.redaction',
        sender,
        ...(redacts !== '' && { redacts }),
        eventId: '$redaction:example.org',
      })

    async function judge(sender: string, held: StoredEvent | undefined, redacts?: string): Promise<string> {
      const lookup = { byIds: () => Promise.resolve(new Map(held ? [[held.event.eventId, held]] : [])) }
      const redactionRules = new RedactionRules(lookup as unknown as EventLookup)
      const judging = redactionRules.judgeLocal(room, redaction(sender, redacts), {
        state,
        pending: new Map(),
      })
      try {
        const verdict = await judging
        return verdict?.applied ? 'applied' : 'kept'
      } catch {
        return ((await rejection(judging)) as MatrixError).errcode
      }
    }

    it('lets people redact what they have sent', async () => {
      expect(await judge(alice, target(alice))).to.equal('applied')
      expect(await judge(alice, target(mod))).to.equal('M_FORBIDDEN')
      // Of the same server, which is enough for events from elsewhere only.
      expect(await judge(alice, target('@other:example.org'))).to.equal('M_FORBIDDEN')
    })

    it('lets those with the power redact what others have sent', async () => {
      expect(await judge(mod, target(alice))).to.equal('applied')
      expect(await judge(mod, target(remote))).to.equal('applied')
    })

    it('protects the create event and other rooms', async () => {
      const createHeld = store(
        make({
          ...create.json,
          type: 'm.room.create',
          sender: alice,
          stateKey: '',
          eventId: '$target:example.org',
        }),
      )
      expect(await judge(mod, createHeld)).to.equal('M_FORBIDDEN')
      expect(await judge(mod, target(alice, { roomNid: 2 }))).to.equal('M_INVALID_PARAM')
    })

    it('takes redactions of unknown events by those with the power alone', async () => {
      expect(await judge(mod, undefined)).to.equal('kept')
      expect(await judge(alice, undefined)).to.equal('M_FORBIDDEN')
      expect(await judge(alice, undefined, '')).to.equal('M_BAD_JSON')
    })

    it('redacts once', async () => {
      const redacted = target(alice, { redactedBy: redaction(alice).eventId })
      expect(await judge(alice, redacted)).to.equal('kept')
    })

    it('says nothing of other events', async () => {
      const redactionRules = new RedactionRules(undefined as never)
      const message = make({ type: 'm.room.message', sender: alice })
      const context = { state, pending: new Map() }
      expect(await redactionRules.judgeLocal(room, message, context)).to.be.undefined
      expect(redactionRules.judgeRemote(undefined, message, state)).to.be.undefined
    })

    it('takes redactions from elsewhere by the same server or with the power', () => {
      const redactionRules = new RedactionRules(undefined as never)
      const applied = (sender: string, held: StoredEvent | undefined): boolean | undefined =>
        redactionRules.judgeRemote(held, redaction(sender), state)?.applied
      expect(applied(remote, target('@other:other.example'))).to.be.true
      expect(applied(remote, target(alice))).to.be.false
      expect(applied(mod, target(remote))).to.be.true
      expect(applied(mod, undefined)).to.be.false
      expect(applied(mod, target(remote, { redactedBy: redaction(mod).eventId }))).to.be.false
    })
  })
}
