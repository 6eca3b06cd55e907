import { expect } from 'chai'
import type { Event } from '../../../src/protocol/event.js'
import type { JsonObject } from '../../../src/util/json.js'
import type { FakeHomeserver, FakeRequest } from '../../support/fake-homeserver.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { eventsAt, syncTimelineHasEventId, type MatrixClient } from '../../support/matrix-client.js'
import { FakeRoom, toJson } from '../../support/fake-room.js'

const CAROL = '@carol:fake.test'
/** One whose invitations can come in both forms. */
const VERSION = '1'
const V1 = '/_matrix/federation/v1'
const V2 = '/_matrix/federation/v2'

/** https://spec.matrix.org/latest/server-server-api/#server-access-control-lists-acls */
describe('a server that a room shuts out', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let fake: FakeHomeserver
  let alice: MatrixClient
  let room: FakeRoom
  let said: Event

  before(async () => {
    servers = await startFederation(['a.test'])
    fake = await servers.fake('fake.test')
    alice = await servers.get('a.test').register('alice')
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: VERSION })
    room = (await FakeRoom.join(fake, 'a.test', { roomId, version: VERSION, userId: CAROL })).serve()
    said = room.say(CAROL, 'Before')[0]!
    await room.tell('a.test', said)
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, said.eventId))
    await alice.sendState(roomId, 'm.room.server_acl', '', { allow: ['*'], deny: ['fake.test'] })
  })
  after(() => servers[Symbol.asyncDispose]())

  const member = (membership: string, stateKey = CAROL): Event =>
    room.make({ type: 'm.room.member', sender: CAROL, stateKey, content: { membership } })

  function requests(): FakeRequest[] {
    const at = room.roomId
    const { eventId } = said
    const handed = (path: string, event: Event, body: JsonObject = toJson(event)): FakeRequest => ({
      method: 'PUT',
      path: `${path}/${at}/${event.eventId}`,
      body,
    })
    const invite = member('invite', alice.userId)
    return [
      { path: `${V1}/make_join/${at}/${CAROL}?ver=${VERSION}` },
      { path: `${V1}/make_leave/${at}/${CAROL}` },
      { path: `${V1}/make_knock/${at}/${CAROL}?ver=${VERSION}` },
      handed(`${V1}/send_join`, member('join')),
      handed(`${V2}/send_join`, member('join')),
      handed(`${V1}/send_leave`, member('leave')),
      handed(`${V2}/send_leave`, member('leave')),
      handed(`${V1}/send_knock`, member('knock')),
      handed(`${V1}/invite`, invite),
      handed(`${V2}/invite`, invite, { room_version: VERSION, event: toJson(invite), invite_room_state: [] }),
      { path: `${V1}/state/${at}?event_id=${eventId}` },
      { path: `${V1}/state_ids/${at}?event_id=${eventId}` },
      { path: `${V1}/backfill/${at}?v=${eventId}&limit=1` },
      { path: `${V1}/event_auth/${at}/${eventId}` },
      { path: `${V1}/event/${eventId}` },
      { path: `${V1}/timestamp_to_event/${at}?ts=1&dir=f` },
      {
        method: 'POST',
        path: `${V1}/get_missing_events/${at}`,
        body: { earliest_events: [], latest_events: [eventId] },
      },
    ]
  }

  it('gets no answer about it from any endpoint', async () => {
    for (const request of requests()) {
      const { status, json } = await fake.send('a.test', request)
      expect([status, json['errcode']], request.path).to.deep.equal([403, 'M_FORBIDDEN'])
    }
  })

  it('gets no event and nothing of what passes by into it', async () => {
    const [event] = room.say(CAROL, 'After') as [Event]
    const at = { event_ids: [said.eventId], data: { ts: 1 } }
    const edus = [
      { edu_type: 'm.typing', content: { room_id: room.roomId, user_id: CAROL, typing: true } },
      { edu_type: 'm.receipt', content: { [room.roomId]: { 'm.read': { [CAROL]: at } } } },
    ]
    const reply = await fake.sendTransaction('a.test', { pdus: [toJson(event)], edus })
    expect(reply.json['pdus']).to.have.nested.property(`${event.eventId.replaceAll('.', '\\.')}.error`)
    const last = await alice.sendText(room.roomId, 'The last word')
    await alice.mustSyncUntil(syncTimelineHasEventId(room.roomId, last))
    const response = await alice.sync()
    const shown = (...steps: string[]): JsonObject[] =>
      eventsAt(response, 'rooms', 'join', room.roomId, ...steps, 'events')
    expect(shown('timeline').map((other) => other['event_id'])).to.not.include(event.eventId)
    expect(shown('ephemeral').map((other) => other['type'])).to.not.include.members(['m.typing', 'm.receipt'])
  })
})
