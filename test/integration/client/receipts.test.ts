import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import {
  dig,
  eventsAt,
  path,
  syncEphemeralHas,
  type MatrixClient,
  type SyncCheck,
} from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

const THREADS = { room: { timeline: { unread_thread_notifications: true } } }

function receipt(
  client: MatrixClient,
  roomId: string,
  eventId: string,
  options: { type?: string; body?: JsonObject } = {},
) {
  const { type = 'm.read', body = {} } = options
  return client.request('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/${type}/${eventId}`, { body })
}

function syncHasReceipt(
  roomId: string,
  eventId: string,
  userId: string,
  options: { type?: string; thread?: string } = {},
): SyncCheck {
  return syncEphemeralHas(roomId, (event) => {
    if (event['type'] !== 'm.receipt') return false
    expect(event).not.to.have.property('room_id')
    const found = dig(event, 'content', eventId, options.type ?? 'm.read', userId)
    return found !== undefined && dig(found, 'thread_id') === options.thread
  })
}

async function unread(client: MatrixClient, roomId: string, byThread = false) {
  const response = await client.sync(byThread ? { filter: THREADS } : {})
  const room = dig(response, 'rooms', 'join', roomId)
  return {
    room: dig(room, 'unread_notifications'),
    threads: dig(room, 'unread_thread_notifications'),
  }
}

const counts = (notifications: number, highlights: number) => ({
  notification_count: notifications,
  highlight_count: highlights,
})

forEachServerDatabase('receipts', (database) => {
  it('are shown in the room, also to who sent them', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const since = await bob.syncToken()
    const eventId = await alice.sendText(roomId, 'hello')
    expect((await receipt(bob, roomId, eventId)).body).to.deep.equal({})
    const check = syncHasReceipt(roomId, eventId, bob.userId)
    await alice.mustSyncUntil(check)
    await bob.mustSyncUntil(check, { since })
  })

  it('stay private where they are', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const eventId = await alice.sendText(roomId, 'hello')
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(1, 0))
    await receipt(bob, roomId, eventId, { type: 'm.read.private' })
    await bob.mustSyncUntil(syncHasReceipt(roomId, eventId, bob.userId, { type: 'm.read.private' }))
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(0, 0))
    const seen = eventsAt(await alice.sync(), 'rooms', 'join', roomId, 'ephemeral', 'events')
    expect(JSON.stringify(seen)).not.to.include(bob.userId)
  })

  it('move with the fully read marker', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom()
    const eventId = await alice.sendText(roomId, 'hello')
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/read_markers`, {
      body: { 'm.fully_read': eventId, 'm.read': eventId },
    })
    await alice.mustSyncUntil([
      syncHasReceipt(roomId, eventId, alice.userId),
      (response) =>
        eventsAt(response, 'rooms', 'join', roomId, 'account_data', 'events').some(
          (event) => event['type'] === 'm.fully_read' && dig(event, 'content', 'event_id') === eventId,
        ),
    ])
    const next = await alice.sendText(roomId, 'again')
    await receipt(alice, roomId, next, { type: 'm.fully_read' })
    const target = path`/_matrix/client/v3/user/${alice.userId}/rooms/${roomId}/account_data/m.fully_read`
    expect(await alice.must('GET', target)).to.deep.equal({ event_id: next })
  })

  it('are refused where they say nothing sensible', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const roomId = await alice.createRoom()
    const eventId = await alice.sendText(roomId, 'hello')
    const cases: [string, { type?: string; body?: JsonObject }, number, string][] = [
      [eventId, { type: 'm.seen' }, 400, 'M_INVALID_PARAM'],
      [eventId, { body: { thread_id: '' } }, 400, 'M_INVALID_PARAM'],
      [eventId, { body: { thread_id: 4 } }, 400, 'M_INVALID_PARAM'],
      [eventId, { body: { thread_id: '$other' } }, 400, 'M_INVALID_PARAM'],
      [eventId, { type: 'm.fully_read', body: { thread_id: 'main' } }, 400, 'M_INVALID_PARAM'],
      ['$unknown', {}, 404, 'M_NOT_FOUND'],
    ]
    for (const [event, options, status, errcode] of cases) {
      const { status: answered, body } = await receipt(alice, roomId, event, options)
      expect([answered, body['errcode']], JSON.stringify(options)).to.deep.equal([status, errcode])
    }
    const bob = await hs.register('bob')
    expect((await receipt(bob, roomId, eventId)).body['errcode']).to.equal('M_FORBIDDEN')
  })

  it('read threads one by one, and all of them without a thread', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const say = (content: JsonObject = {}) =>
      alice.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: 'hello', ...content })
    const mention = { 'm.mentions': { user_ids: [bob.userId] } }
    const a = await say()
    const inThread = { 'm.relates_to': { rel_type: 'm.thread', event_id: a } }
    const b = await say(inThread)
    await say({ ...inThread, ...mention })
    const d = await say(mention)
    await say(inThread)
    const f = await say({ 'm.relates_to': { rel_type: 'm.reference', event_id: a } })
    const g = await alice.sendEvent(roomId, 'm.reaction', {
      'm.relates_to': { rel_type: 'm.annotation', event_id: f, key: 'x' },
    })
    const expectCounts = async (main: [number, number], thread: [number, number] | undefined) => {
      const total = thread ? counts(main[0] + thread[0], main[1] + thread[1]) : counts(...main)
      expect(await unread(bob, roomId)).to.deep.equal({ room: total, threads: undefined })
      const { room, threads } = await unread(bob, roomId, true)
      expect(room).to.deep.equal(counts(...main))
      expect(dig(threads, a)).to.deep.equal(thread && counts(...thread))
    }
    await expectCounts([3, 1], [3, 1])
    await receipt(bob, roomId, a, { body: { thread_id: 'main' } })
    await bob.mustSyncUntil(syncHasReceipt(roomId, a, bob.userId, { thread: 'main' }))
    await expectCounts([2, 1], [3, 1])
    await receipt(bob, roomId, b, { body: { thread_id: a } })
    await expectCounts([2, 1], [2, 1])
    await receipt(bob, roomId, d)
    await bob.mustSyncUntil(syncHasReceipt(roomId, d, bob.userId))
    await expectCounts([1, 0], [1, 0])
    await receipt(bob, roomId, g, { body: { thread_id: a } })
    await expectCounts([1, 0], undefined)
  })

  it('are not needed for what one has sent after it, nor for redacted events', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    await alice.sendText(roomId, 'one')
    await bob.sendText(roomId, 'two')
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(0, 0))
    expect((await unread(alice, roomId)).room).to.deep.equal(counts(1, 0))
    const eventId = await alice.sendText(roomId, 'three')
    await alice.redact(roomId, eventId)
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(0, 0))
  })

  it('leave muted rooms alone', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    await bob.must('PUT', path`/_matrix/client/v3/pushrules/global/room/${roomId}`, { body: { actions: [] } })
    await alice.sendText(roomId, 'one')
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(0, 0))
    const body = { msgtype: 'm.text', body: 'two', 'm.mentions': { user_ids: [bob.userId] } }
    await alice.sendEvent(roomId, 'm.room.message', body)
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(1, 1))
  })

  it('count messages that name somebody in their text as highlights, unless they say whom they mention', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    await alice.sendText(roomId, 'Is Bob there?')
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(1, 1))
    await alice.sendText(roomId, 'Where is Robert?')
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(2, 1))
    const target = path`/_matrix/client/v3/profile/${bob.userId}/displayname`
    await bob.must('PUT', target, { body: { displayname: 'Robert' } })
    await bob.mustSyncUntil((response) => JSON.stringify(response).includes('"displayname":"Robert"'))
    await alice.sendText(roomId, 'robert!')
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(3, 2))
    await alice.sendEvent(roomId, 'm.room.message', { msgtype: 'm.text', body: 'bob', 'm.mentions': {} })
    expect((await unread(bob, roomId)).room).to.deep.equal(counts(4, 2))
  })
})
