import { expect } from 'chai'
import { Event } from '../../../../src/protocol/event.js'
import type { EventId, UserId } from '../../../../src/protocol/ids.js'
import { getRoomVersionRules } from '../../../../src/protocol/room-versions.js'
import { MemberNames } from '../../../../src/services/events/member-names.js'
import { PushActions } from '../../../../src/services/events/push-actions.js'
import { PushAudience } from '../../../../src/services/events/push-audience.js'
import { totalUnread } from '../../../../src/services/events/unread-counts.js'
import { ThreadSubscriptionsStore } from '../../../../src/storage/stores/thread-subscriptions.js'
import type { JsonObject } from '../../../../src/util/json.js'
import {
  createEphemeralFixture,
  requesterOf,
  type EphemeralFixture,
} from '../../../support/ephemeral-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { RoomRows } from '../../../support/room-rows.js'

const ALICE = requesterOf('alice').userId
const BOB = requesterOf('bob').userId
const CAROL = requesterOf('carol').userId
const RULES = getRoomVersionRules('11')!

forEachDatabase('PushAudience', (open) => {
  let fixture: EphemeralFixture
  let room: RoomRows
  let audience: PushAudience
  let actions: PushActions
  beforeEach(async () => {
    fixture = await createEphemeralFixture(await open())
    room = await RoomRows.create(fixture.db)
    for (const userId of [ALICE, BOB, CAROL]) await room.setMembership(userId, 'join')
    audience = new PushAudience({
      ...fixture,
      pushActions: fixture.stores.pushActions,
      names: new MemberNames(fixture),
      threads: new ThreadSubscriptionsStore(),
    })
    actions = new PushActions(fixture.db, fixture.members, { enabled: true, audience })
  })

  /** Judges a message of Alice's and writes it as it is judged. */
  const say = async (content: JsonObject = {}, options: { type?: string; reply?: EventId } = {}) => {
    const { type = 'm.room.message' } = options
    const json = {
      type,
      sender: ALICE,
      room_id: room.roomId,
      content: { msgtype: 'm.text', body: 'hello', ...content },
      origin_server_ts: 0,
      depth: 1,
      prev_events: [],
      auth_events: [],
      hashes: { sha256: '' },
      signatures: {},
    }
    const event = new Event(RULES, json, { eventId: '$event' as EventId, roomId: room.roomId })
    const record = {
      roomNid: room.roomNid,
      roomId: room.roomId,
      rules: RULES,
      creator: ALICE,
      roomType: undefined,
    }
    const verdict = await actions.judge(record, event, { mayNotifyRoom: () => true })
    const { notifies, highlights, exceptions } = verdict
    await room.send({ sender: ALICE, notifies, highlights, exceptions })
    return exceptions
  }
  const count = async (userId: UserId) => {
    const counts = await fixture.unreadCounts.forRooms(fixture.db.reader, userId, [room.roomNid])
    const { notifications, highlights } = totalUnread(counts.get(room.roomNid)!)
    return [notifications, highlights]
  }
  const setRule = async (
    kind: 'override' | 'content' | 'room' | 'sender',
    ruleId: string,
    body: JsonObject,
  ) => {
    await fixture.pushRules.putRule(BOB, { kind, ruleId }, { body, place: {} })
    audience.onNewPosition('push_rules', { users: [BOB] })
  }

  it('makes no rows where nobody has rules of their own', async () => {
    expect(await say()).to.deep.equal([])
    expect(await say({ 'm.mentions': { user_ids: [BOB] } })).to.deep.equal([])
    expect([await count(BOB), await count(CAROL)]).to.deep.equal([
      [2, 1],
      [2, 0],
    ])
  })

  it('counts nothing in a muted room, and makes no rows for it', async () => {
    const condition = { kind: 'event_match', key: 'room_id', pattern: room.roomId }
    await setRule('override', room.roomId, { conditions: [condition], actions: [] })
    expect(await say()).to.deep.equal([])
    expect(await say({ 'm.mentions': { user_ids: [BOB], room: true } })).to.deep.equal([])
    expect([await count(BOB), await count(CAROL)]).to.deep.equal([
      [0, 0],
      [2, 1],
    ])
  })

  it('counts mentions alone where the room is set to that', async () => {
    await setRule('room', room.roomId, { actions: [] })
    expect(await say()).to.deep.equal([])
    const highlight = { userId: BOB, quiet: true, notifications: 1, highlights: 1 }
    expect(await say({ 'm.mentions': { user_ids: [BOB] } })).to.deep.equal([highlight])
    expect(await say({ 'm.mentions': { room: true } })).to.deep.equal([highlight])
    expect(await count(BOB)).to.deep.equal([2, 2])
  })

  it('highlights words that the user has chosen', async () => {
    const actionsOfRule = ['notify', { set_tweak: 'highlight' }]
    await setRule('content', 'cake', { pattern: 'cake', actions: actionsOfRule })
    expect(await say({ body: 'no pie' })).to.deep.equal([])
    expect(await say({ body: 'There is Cake!' })).to.deep.equal([
      { userId: BOB, quiet: false, notifications: 0, highlights: 1 },
    ])
    expect([await count(BOB), await count(CAROL)]).to.deep.equal([
      [2, 1],
      [2, 0],
    ])
  })

  it('leaves out senders that the user has silenced', async () => {
    await say()
    await setRule('sender', ALICE, { actions: [] })
    expect(await say()).to.deep.equal([{ userId: BOB, quiet: false, notifications: -1, highlights: 0 }])
    expect(await count(BOB)).to.deep.equal([1, 0])
    expect(await count(CAROL)).to.deep.equal([2, 0])
  })

  it('counts what only the user wants to know', async () => {
    const condition = { kind: 'event_match', key: 'type', pattern: 'm.custom' }
    await setRule('override', 'custom', { conditions: [condition], actions: ['notify'] })
    await say({}, { type: 'm.custom' })
    expect([await count(BOB), await count(CAROL)]).to.deep.equal([
      [1, 0],
      [0, 0],
    ])
  })

  it('goes on counting with exceptions from where it was', async () => {
    await setRule('content', 'cake', { pattern: 'cake', actions: ['notify', { set_tweak: 'highlight' }] })
    await say({ body: 'cake' })
    expect(await count(BOB)).to.deep.equal([1, 1])
    await say({ body: 'cake' })
    await say()
    expect(await count(BOB)).to.deep.equal([3, 2])
    await room.send({ sender: BOB })
    expect(await count(BOB)).to.deep.equal([0, 0])
  })

  it('follows who is in the room', async () => {
    await setRule('sender', ALICE, { actions: [] })
    expect(await say()).to.have.length(1)
    await room.setMembership(BOB, 'leave')
    audience.onNewPosition('events', { rooms: [room.roomId], users: [BOB] })
    expect(await say()).to.deep.equal([])
  })
})
