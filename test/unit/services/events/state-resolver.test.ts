import { expect } from 'chai'
import fc from 'fast-check'
import { covers } from '../../../../src/storage/auth-reach.js'
import { authEventKeys } from '../../../../src/protocol/auth-events.js'
import type { Event } from '../../../../src/protocol/event.js'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { stateKeyOf, type StateKey, type StateMap } from '../../../../src/protocol/state-map.js'
import { forEachDatabase } from '../../../support/databases.js'
import {
  ALICE,
  CAROL,
  createEventFixture,
  createRoom,
  joinOf,
  RemoteServer,
  type EventFixture,
  type RemoteDraft,
} from '../../../support/event-services.js'
import { authChain, resolveNaively } from '../../../support/naive-state-resolution.js'
import { rulesOf } from '../../../support/auth-room.js'

const DAVE = '@dave:other.test' as typeof CAROL
const USERS = [CAROL, DAVE]

interface Command {
  readonly actor: number
  readonly kind: number
  readonly value: number
  readonly ts: number
  readonly after: readonly number[]
}

const commands = fc.array(
  fc.record({
    actor: fc.nat(1),
    kind: fc.nat(5),
    value: fc.nat(3),
    ts: fc.nat(4),
    after: fc.array(fc.nat(100), { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 8, maxLength: 16 },
)

function toDraft({ actor, kind, value, ts }: Command, version: string): RemoteDraft {
  const sender = USERS[actor]!
  const other = USERS[1 - actor]!
  const state = (type: string, content: RemoteDraft['content']): RemoteDraft => ({
    type,
    stateKey: '',
    sender,
    content,
    ts,
  })
  switch (kind) {
    case 0: {
      const users = {
        [CAROL]: 50,
        [DAVE]: 50,
        [other]: 10 * value,
        ...(version !== '12' && { [ALICE]: 100 }),
      }
      return state('m.room.power_levels', { users })
    }
    case 1:
      return { ...state('m.room.member', { membership: value < 2 ? 'ban' : 'leave' }), stateKey: other }
    case 2:
      return {
        ...state('m.room.member', { membership: 'join', displayname: String(value) }),
        stateKey: sender,
      }
    case 3:
      return state('m.room.join_rules', { join_rule: value < 3 ? 'public' : 'invite' })
    case 4:
      return state('m.room.topic', { topic: String(value) })
    default:
      return { type: 'm.room.message', sender, content: { body: String(value) }, ts }
  }
}

/** A room as the naive resolution sees it, next to what the server makes of the same events. */
class Shadow {
  readonly fixture: EventFixture
  readonly roomId: RoomId
  readonly remote: RemoteServer
  readonly version: string
  readonly events = new Map<EventId, Event>()
  readonly after = new Map<EventId, StateMap>()
  readonly order: Event[] = []
  readonly #seen = new Set<EventId>()

  private constructor(parts: {
    fixture: EventFixture
    roomId: RoomId
    remote: RemoteServer
    version: string
  }) {
    this.fixture = parts.fixture
    this.roomId = parts.roomId
    this.remote = parts.remote
    this.version = parts.version
  }

  static async start(fixture: EventFixture, version: string): Promise<Shadow> {
    const users = { [CAROL]: 50, [DAVE]: 50, ...(version !== '12' && { [ALICE]: 100 }) }
    const roomId = await createRoom(fixture, { version, levels: { users } })
    const remote = await RemoteServer.of(fixture, roomId)
    const shadow = new Shadow({ fixture, roomId, remote, version })
    let state: StateMap = new Map()
    for (const { event } of await fixture.timeline(roomId)) state = shadow.#follow(event, state)
    for (const user of USERS) await shadow.run({ ...joinOf(user), sender: user }, [shadow.order.at(-1)!])
    return shadow
  }

  stateBefore(prev: readonly EventId[]): StateMap {
    const states = prev.map((id) => this.after.get(id)!)
    return states.length === 1 ? states[0]! : resolveNaively(rulesOf(this.version), states, this.events)
  }

  async run(draft: RemoteDraft, after: readonly Event[]): Promise<void> {
    const before = this.stateBefore(after.map(({ eventId }) => eventId))
    const keys = authEventKeys(rulesOf(this.version), draft)
    const authEvents = keys.flatMap(([type, key]) => {
      const id = before.get(stateKeyOf(type, key))
      return id === undefined ? [] : this.events.get(id)!
    })
    const event = await this.remote.make(after, { ...draft, authEvents })
    // Two commands may come to the same event.
    if (this.#seen.has(event.eventId)) return
    this.#seen.add(event.eventId)
    const { outcome } = await this.remote.receive(event)
    if (outcome === 'accepted' || outcome === 'softFailed') this.#follow(event, before)
    else expect(outcome).to.equal('rejected')
  }

  #follow(event: Event, before: StateMap): StateMap {
    const after = new Map<StateKey, EventId>(before)
    if (event.stateKey !== undefined) after.set(stateKeyOf(event.type, event.stateKey), event.eventId)
    this.events.set(event.eventId, event)
    this.after.set(event.eventId, after)
    this.order.push(event)
    return after
  }
}

function plain(state: StateMap): Record<string, string> {
  return Object.fromEntries([...state].map(([key, id]) => [key.replace('\u0000', '/'), id] as const).sort())
}

forEachDatabase('StateResolver', (open) => {
  for (const version of ['1', '2', '11', '12']) {
    it(`comes to the states of the naive resolution, and covers auth chains, in version ${version}`, async () => {
      const fixture = await createEventFixture(await open())
      await fc.assert(
        fc.asyncProperty(commands, async (given) => {
          const shadow = await Shadow.start(fixture, version)
          const first = shadow.order.length - 1
          for (const command of given) {
            const recent = shadow.order.slice(Math.max(first, shadow.order.length - 5))
            const after = [...new Set(command.after.map((index) => recent[index % recent.length]!))]
            await shadow.run(toDraft(command, version), after)
          }
          await expectSameStates(shadow)
          await expectCover(shadow)
          await expectCurrentState(shadow)
        }),
        { numRuns: 8 },
      )
    }).timeout(120_000)
  }

  async function expectSameStates({ fixture, order, after }: Shadow): Promise<void> {
    const stored = await fixture.stores.events.getByIds(
      fixture.db.reader,
      order.map(({ eventId }) => eventId),
    )
    for (const { eventId } of order) {
      const { stateAfter } = stored.get(eventId)!
      const held = await fixture.roomState.getStateAt(stateAfter!)
      const state = Object.fromEntries(
        held.map(({ event }) => [`${event.type}/${event.stateKey!}`, event.eventId]),
      )
      expect(state).to.deep.equal(plain(after.get(eventId)!))
    }
  }

  /** By the chain cover, one event is in the auth chain of another exactly when a walk leads there. */
  async function expectCover({ fixture, events }: Shadow): Promise<void> {
    const q = fixture.db.reader
    const nids = await fixture.stores.events.getNids(q, [...events.keys()])
    const positions = await (await fixture.restart()).stores.graph.getAuthPositions(q, [...nids.values()])
    for (const [id, event] of events) {
      const position = positions.get(nids.get(id)!)
      expect(position !== undefined).to.equal(event.isState())
      if (!position) continue
      const chain = authChain(id, events)
      for (const [otherId, nid] of nids) {
        const other = positions.get(nid)
        if (other) expect(covers(position.reach, other)).to.equal(chain.has(otherId))
      }
    }
  }

  async function expectCurrentState(shadow: Shadow): Promise<void> {
    const { fixture, roomId } = shadow
    const { roomNid } = await fixture.roomState.requireRoom(roomId)
    const rows = await fixture.stores.graph.listForwardExtremities(fixture.db.reader, roomNid)
    const expected = shadow.stateBefore(rows.map(({ eventId }) => eventId))
    expect(await fixture.currentState(roomId)).to.deep.equal(plain(expected))
    const changes = await fixture.db.reader.all<{
      type: string
      state_key: string
      event_nid: number | null
    }>(
      'SELECT type, state_key, event_nid FROM current_state_deltas WHERE room_nid = ? ORDER BY stream_ordering',
      [roomNid],
    )
    const replayed = new Map<string, number>()
    for (const { type, state_key: key, event_nid: nid } of changes) {
      if (nid === null) replayed.delete(`${type}/${key}`)
      else replayed.set(`${type}/${key}`, nid)
    }
    const nids = await fixture.stores.events.getNids(fixture.db.reader, [...expected.values()])
    expect(new Set(replayed.values())).to.deep.equal(new Set(nids.values()))
  }

  it('asks nothing and stores nothing where branches have one state', async () => {
    const fixture = await createEventFixture(await open())
    const shadow = await Shadow.start(fixture, '12')
    const root = shadow.order.at(-1)!
    const message: RemoteDraft = { type: 'm.room.message', sender: CAROL, content: {} }
    for (let index = 0; index < 3; index++) await shadow.run({ ...message, ts: index }, [root])
    const snapshots = await fixture.db.reader.all('SELECT 1 FROM state_snapshots')
    Object.assign(fixture.counts, { reads: 0 })
    await fixture.sender.send(
      { userId: ALICE },
      { roomId: shadow.roomId, type: 'm.room.message', content: {} },
    )
    expect(fixture.counts.reads).to.equal(0)
    expect(await fixture.db.reader.all('SELECT 1 FROM state_snapshots')).to.have.length(snapshots.length)
  })

  it('asks a constant number of questions about a fork, whatever the number of members', async () => {
    const cost = async (members: number): Promise<number> => {
      const fixture = await createEventFixture(await open())
      const shadow = await Shadow.start(fixture, '11')
      const root = shadow.order.at(-1)!
      for (let index = 0; index < members; index++) {
        const user = `@user${index}:hs.test` as typeof CAROL
        await fixture.sender.send({ userId: user }, { roomId: shadow.roomId, ...joinOf(user) })
      }
      const event = await shadow.remote.make([root], {
        type: 'm.room.topic',
        sender: CAROL,
        stateKey: '',
        content: { topic: 'x' },
      })
      const restarted = await fixture.restart()
      const remote = await RemoteServer.of(restarted, shadow.roomId)
      Object.assign(restarted.counts, { reads: 0 })
      expect((await remote.receive(event)).outcome).to.equal('accepted')
      return restarted.counts.reads
    }
    const [few, many] = [await cost(2), await cost(60)]
    // Power levels may be found one question earlier or later.
    expect(many).to.be.at.most(few + 1)
    expect(many).to.be.at.most(25)
  }).timeout(60_000)
})
