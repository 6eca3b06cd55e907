import { expect } from 'chai'
import { randomUUID } from 'node:crypto'
import type { JsonObject } from '../../../src/util/json.js'
import { FakeRoom } from '../../support/fake-room.js'
import { startFederation } from '../../support/federation.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import { dig, eventsAt, path, syncJoinedTo, type MatrixClient } from '../../support/matrix-client.js'
import { extensionIn, SlidingClient } from '../../support/sliding-client.js'

const TYPE = 'org.example.here'
const EXTENSION = 'org.matrix.msc4354.sticky_events'
const FEATURES = { experimental_features: { msc4354_enabled: true }, max_event_delay_duration: '1h' }
/** Of the timeline only the last: what is sticky is found elsewhere. */
const SHORT = { filter: JSON.stringify({ room: { timeline: { limit: 1 } } }), timeout: 0 }

async function stick(
  client: MatrixClient,
  roomId: string,
  durationMs: number,
  query: JsonObject = {},
): Promise<string> {
  const target = path`/_matrix/client/v3/rooms/${roomId}/send/${TYPE}/${randomUUID()}`
  const answer = await client.must('PUT', target, {
    query: { 'org.matrix.msc4354.sticky_duration_ms': durationMs, ...(query as Record<string, number>) },
    body: {},
  })
  return answer['event_id'] as string
}

function stickyIn(sync: JsonObject, roomId: string): JsonObject[] {
  return eventsAt(sync, 'rooms', 'join', roomId, 'msc4354_sticky', 'events')
}

function idsOf(events: readonly JsonObject[]): unknown[] {
  return events.map(({ event_id: id }) => id)
}

forEachServerDatabase('Sticky events', (database) => {
  let hs: TestHomeserver
  let clock: ManualClock
  let alice: MatrixClient
  let bob: MatrixClient
  let roomId: string
  let users = 0

  before(async () => {
    clock = new ManualClock()
    hs = await startHomeserver({ database, config: FEATURES, clock })
  })

  after(() => hs[Symbol.asyncDispose]())

  beforeEach(async () => {
    users++
    alice = await hs.register(`alice${users}`)
    bob = await hs.register(`bob${users}`)
    // Who comes later may not read what was said before.
    roomId = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [
        { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
      ],
    })
  })

  it('are announced, and told to those who come later, until they end', async () => {
    const versions = await alice.must('GET', '/_matrix/client/versions')
    expect(dig(versions, 'unstable_features', 'org.matrix.msc4354')).to.equal(true)
    const short = await stick(alice, roomId, 60_000)
    const long = await stick(alice, roomId, 600_000)
    const { next_batch: since } = await bob.must('GET', '/_matrix/client/v3/sync', { query: { timeout: 0 } })
    await bob.join(roomId)
    const first = await bob.must('GET', '/_matrix/client/v3/sync', {
      query: { since: since as string, timeout: 0 },
    })
    const [told] = stickyIn(first, roomId)
    expect(idsOf(stickyIn(first, roomId))).to.deep.equal([short, long])
    expect(dig(told, 'msc4354_sticky')).to.deep.equal({ duration_ms: 60_000 })
    expect(dig(told, 'unsigned', 'msc4354_sticky_duration_ttl_ms')).to.be.within(1, 60_000)
    const again = await bob.must('GET', '/_matrix/client/v3/sync', {
      query: { since: first['next_batch'] as string, timeout: 0 },
    })
    expect(stickyIn(again, roomId)).to.deep.equal([])
    clock.advance(60_000)
    const later = await bob.must('GET', '/_matrix/client/v3/sync', { query: SHORT })
    expect(idsOf(stickyIn(later, roomId))).to.deep.equal([long])
  })

  it('are told beside timelines that do not show them, and once where they do', async () => {
    await bob.join(roomId)
    const { next_batch: since } = await bob.must('GET', '/_matrix/client/v3/sync', { query: { timeout: 0 } })
    const hidden = await stick(alice, roomId, 60_000)
    await alice.sendText(roomId, 'in between')
    const shown = await stick(alice, roomId, 60_000)
    const sync = await bob.must('GET', '/_matrix/client/v3/sync', {
      query: { ...SHORT, since: since as string },
    })
    expect(idsOf(eventsAt(sync, 'rooms', 'join', roomId, 'timeline', 'events'))).to.deep.equal([shown])
    expect(idsOf(stickyIn(sync, roomId))).to.deep.equal([hidden])
  })

  it('may be state, may wait, and are renewed by the same content', async () => {
    const target = path`/_matrix/client/v3/rooms/${roomId}/state/${TYPE}/key`
    const query = { 'org.matrix.msc4354.sticky_duration_ms': 60_000 }
    const one = await alice.must('PUT', target, { query, body: { a: 1 } })
    const two = await alice.must('PUT', target, { query, body: { a: 1 } })
    expect(two['event_id']).not.to.equal(one['event_id'])
    await stick(alice, roomId, 60_000, { 'org.matrix.msc4140.delay': 1_000 })
    const { next_batch: since } = await alice.must('GET', '/_matrix/client/v3/sync', {
      query: { timeout: 0 },
    })
    clock.advance(1_000)
    const delayed = await alice.mustSyncUntil(
      (sync) =>
        eventsAt(sync, 'rooms', 'join', roomId, 'timeline', 'events').some(({ type }) => type === TYPE),
      { since: since as string },
    )
    expect(delayed).to.be.a('string')
    const all = await alice.must('GET', '/_matrix/client/v3/sync', {
      query: { ...SHORT, filter: JSON.stringify({ room: { timeline: { limit: 0 } } }) },
    })
    expect(stickyIn(all, roomId)).to.have.length(3)
  })

  it('are refused for less than no time', async () => {
    const target = path`/_matrix/client/v3/rooms/${roomId}/send/${TYPE}/negative`
    const query = { 'org.matrix.msc4354.sticky_duration_ms': -1 }
    const { status, body } = await alice.request('PUT', target, { query, body: {} })
    expect([status, dig(body, 'errcode')]).to.deep.equal([400, 'M_INVALID_PARAM'])
  })

  it('come in pages by sliding sync, from all rooms of the user', async () => {
    const sliding = new SlidingClient(alice)
    const ask = async (settings: JsonObject): Promise<JsonObject> =>
      extensionIn(
        await sliding.sync({ extensions: { [EXTENSION]: { enabled: true, ...settings } } }),
        EXTENSION,
      )
    const sent = [
      await stick(alice, roomId, 60_000),
      await stick(alice, roomId, 60_000),
      await stick(alice, roomId, 60_000),
    ]
    const first = await ask({ limit: 2 })
    expect(idsOf(eventsAt(first, 'rooms', roomId, 'events'))).to.deep.equal(sent.slice(0, 2))
    const second = await ask({ limit: 2, since: first['next_batch'] as string })
    expect(idsOf(eventsAt(second, 'rooms', roomId, 'events'))).to.deep.equal(sent.slice(2))
    expect(await ask({ since: second['next_batch'] as string })).to.deep.equal({})
    const other = await bob.createRoom({ preset: 'public_chat' })
    const old = await stick(bob, other, 60_000)
    const beforeJoin = await stick(alice, roomId, 60_000)
    const third = await ask({ since: second['next_batch'] as string })
    expect(idsOf(eventsAt(third, 'rooms', roomId, 'events'))).to.deep.equal([beforeJoin])
    await alice.join(other)
    const fourth = await ask({ since: third['next_batch'] as string })
    expect(idsOf(eventsAt(fourth, 'rooms', other, 'events'))).to.deep.equal([old])
    for (const since of ['5', 'sticky_x', 7]) {
      const { status } = await alice.request(
        'POST',
        '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync',
        {
          body: { extensions: { [EXTENSION]: { enabled: true, since } } },
        },
      )
      expect(status).to.equal(400)
    }
  })
})

describe('Sticky events between servers', function () {
  this.timeout(120_000)

  it('reach servers that come to the room after they were sent', async () => {
    await using servers = await startFederation(['a.test', 'b.test'], { config: FEATURES })
    const alice = await servers.get('a.test').register('alice')
    const bob = await servers.get('b.test').register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const sticky = await stick(alice, roomId, 600_000)
    await alice.sendText(roomId, 'something else')
    let since = await bob.syncToken()
    await bob.join(roomId, { via: ['a.test'] })
    const seen: unknown[] = []
    for (let round = 0; round < 60 && !seen.includes(sticky); round++) {
      const body = await bob.sync({ since, timeout: 1_000 })
      since = body['next_batch'] as string
      seen.push(...idsOf(stickyIn(body, roomId)))
      seen.push(...idsOf(eventsAt(body, 'rooms', 'join', roomId, 'timeline', 'events')))
    }
    expect(seen).to.include(sticky)
    await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
    const there = await bob.sendText(roomId, 'still together')
    await alice.mustSyncUntil((sync) => JSON.stringify(sync).includes(there))
  })
})

describe('Sticky events that were soft-failed', () => {
  it('are told once the room lets their sender speak again', async () => {
    await using servers = await startFederation(['a.test'], { config: FEATURES })
    const fake = await servers.fake('fake.test')
    const alice = await servers.get('a.test').register('alice')
    const eve = '@eve:fake.test'
    const roomId = await alice.createRoom({ preset: 'public_chat', room_version: '11' })
    const room = await FakeRoom.join(fake, 'a.test', { roomId, version: '11', userId: eve })
    const [sticky, plain] = [
      room.make({ type: TYPE, sender: eve, stickyMs: 600_000 }),
      room.make({ type: TYPE, sender: eve }),
    ]
    await alice.kick(roomId, eve)
    await room.tell('a.test', sticky, plain)
    const before = await alice.sync({ timeout: 0 })
    expect(JSON.stringify(before)).to.not.include(sticky.eventId)
    const since = before['next_batch'] as string
    await room.joinThrough('a.test', eve)
    await alice.mustSyncUntil((sync) => idsOf(stickyIn(sync, roomId)).includes(sticky.eventId), { since })
    const all = await alice.sync({ timeout: 0 })
    expect(JSON.stringify(all)).to.include(sticky.eventId)
    expect(JSON.stringify(all)).to.not.include(plain.eventId)
  })
})

describe('Sticky events where they are switched off', () => {
  it('are events like others', async () => {
    await using hs = await startHomeserver()
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom()
    const eventId = await stick(alice, roomId, 60_000)
    const event = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`)
    expect(event).not.to.have.property('msc4354_sticky')
    const sync = await alice.must('GET', '/_matrix/client/v3/sync', { query: SHORT })
    expect(stickyIn(sync, roomId)).to.deep.equal([])
  })
})
