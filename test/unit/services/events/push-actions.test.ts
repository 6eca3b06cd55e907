import { expect } from 'chai'
import fc from 'fast-check'
import {
  rulesetOf,
  USUAL_DEFAULT_RULES,
  type DefaultRuleChoice,
} from '../../../../src/protocol/default-push-rules.js'
import { Event } from '../../../../src/protocol/event.js'
import type { EventId, UserId } from '../../../../src/protocol/ids.js'
import { PushEvaluator } from '../../../../src/protocol/push-evaluator.js'
import { NO_PUSH_RULE_CHANGES } from '../../../../src/protocol/push-rules.js'
import { getRoomVersionRules } from '../../../../src/protocol/room-versions.js'
import { MemberNames } from '../../../../src/services/events/member-names.js'
import { EVERYBODY, PushActions } from '../../../../src/services/events/push-actions.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import { RoomMembersStore } from '../../../../src/storage/stores/room-members.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { RoomRows } from '../../../support/room-rows.js'

const ALICE = '@alice:hs.test' as UserId
const BOB = '@bob:hs.test' as UserId
const RULES = getRoomVersionRules('11')!

const recordOf = ({ roomNid, roomId }: RoomRows): RoomRecord => ({
  roomNid,
  roomId,
  rules: RULES,
  creator: ALICE,
  roomType: undefined,
})

function eventOf(
  room: RoomRows,
  { type = 'm.room.message', content, stateKey }: { type?: string; content: JsonObject; stateKey?: string },
): Event {
  const json = {
    type,
    sender: ALICE,
    room_id: room.roomId,
    content,
    ...(stateKey === undefined ? {} : { state_key: stateKey }),
    origin_server_ts: 0,
    depth: 1,
    prev_events: [],
    auth_events: [],
    hashes: { sha256: '' },
    signatures: {},
  }
  return new Event(RULES, json, { eventId: '$event' as EventId, roomId: room.roomId })
}

forEachDatabase('PushActions', (open) => {
  let room: RoomRows
  let actions: PushActions
  let actionsBy: (defaultRules: DefaultRuleChoice) => PushActions
  before(async () => {
    const db = await open()
    room = await RoomRows.create(db)
    await room.setMembership(ALICE, 'join')
    await room.setMembership(BOB, 'join', { displayName: 'Robert' })
    const members = new RoomMembersStore()
    const names = new MemberNames({ db, members, caches: new CacheRegistry(createMetrics()) })
    actionsBy = (defaultRules) =>
      new PushActions(db, members, {
        enabled: true,
        audience: { exceptions: () => Promise.resolve([]), named: (where, text) => names.find(where, text) },
        defaultRules,
      })
    actions = actionsBy(USUAL_DEFAULT_RULES)
  })

  it('says of members with the default rules what those rules say', async () => {
    const anyEvent = fc.record({
      type: fc.constantFrom(
        'm.room.message',
        'm.room.encrypted',
        'm.call.invite',
        'm.room.tombstone',
        'm.room.member',
        'm.reaction',
        'm.room.server_acl',
        'm.room.topic',
        'org.matrix.msc3381.poll.start',
        'org.matrix.msc3381.poll.response',
        'org.matrix.msc3381.poll.end',
        'M.Room.Message',
      ),
      stateKey: fc.constantFrom(undefined, '', '@carol:hs.test'),
      content: fc
        .record(
          {
            msgtype: fc.constantFrom('m.text', 'm.notice', 'M.NOTICE', 7),
            body: fc.constantFrom('hello', 'Hi Bob', 'bobby', 'robert?', 'hey @room', '@rooms', 7),
            'm.mentions': fc.oneof(
              fc.record(
                {
                  user_ids: fc.constantFrom([BOB], [ALICE], [], ['@carol:hs.test', BOB], BOB),
                  room: fc.constantFrom(true, false, 'true'),
                },
                { requiredKeys: [] },
              ),
              fc.constant('none'),
            ),
            'm.relates_to': fc.constantFrom({ rel_type: 'm.replace' }, { rel_type: 'm.thread' }, 'none'),
          },
          { requiredKeys: [] },
        )
        .map((content) => JSON.parse(JSON.stringify(content)) as JsonObject),
      mayNotify: fc.boolean(),
      choice: fc.record({ textMentions: fc.boolean(), polls: fc.boolean() }),
    })
    await fc.assert(
      fc.asyncProperty(anyEvent, async ({ type, stateKey, content, mayNotify, choice }) => {
        const event = eventOf(room, { type, content, ...(stateKey === undefined ? {} : { stateKey }) })
        const mayNotifyRoom = (): boolean => mayNotify
        const verdict = await actionsBy(choice).judge(recordOf(room), event, { mayNotifyRoom })
        const evaluator = new PushEvaluator(rulesetOf(BOB, NO_PUSH_RULE_CHANGES, choice))
        const highlight = verdict.highlights.includes(EVERYBODY) || verdict.highlights.includes(BOB)
        const { notify, highlight: expected } = evaluator.evaluate(event, {
          memberCount: 3,
          displayName: 'Robert',
          mayNotify: () => mayNotify,
        })
        expect({ notify: verdict.notifies || highlight, highlight }).to.deep.equal({
          notify,
          highlight: expected,
        })
      }),
      { numRuns: 1_000 },
    )
  })

  it('highlights only members of this server who have joined', async () => {
    const content = { body: 'x', 'm.mentions': { user_ids: [BOB, BOB, '@nobody:hs.test', ALICE, 7] } }
    const verdict = await actions.judge(recordOf(room), eventOf(room, { content }), {
      mayNotifyRoom: () => false,
    })
    expect(verdict).to.deep.equal({ notifies: true, highlights: [BOB], exceptions: [] })
  })

  it('says nothing where it is switched off', async () => {
    const off = new PushActions({} as never, new RoomMembersStore(), { enabled: false })
    const content = { body: 'x', 'm.mentions': { room: true } }
    const verdict = await off.judge(recordOf(room), eventOf(room, { content }), { mayNotifyRoom: () => true })
    expect(verdict).to.deep.equal({ notifies: false, highlights: [], exceptions: [] })
  })
})
