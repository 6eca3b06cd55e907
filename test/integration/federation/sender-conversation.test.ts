import { expect } from 'chai'
import {
  dig,
  syncEphemeralHas,
  syncJoinedTo,
  syncTimelineHasEventId,
  syncToDeviceHas,
  path,
  type MatrixClient,
  type SyncCheck,
} from '../../support/matrix-client.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import type { JsonObject } from '../../../src/util/json.js'

describe('what one server tells another', function () {
  this.timeout(30_000)
  let servers: TestFederation
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    servers = await startFederation(['a.test', 'b.test'])
    alice = await servers.get('a.test').register('alice')
    bob = await servers.get('b.test').register('bob')
  })
  after(async () => {
    await servers[Symbol.asyncDispose]()
  })

  async function openRoom(body: JsonObject = {}): Promise<string> {
    const roomId = await alice.createRoom({ preset: 'public_chat', ...body })
    await bob.join(roomId, { via: ['a.test'] })
    await alice.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
    return roomId
  }

  it('has events go both ways', async () => {
    const roomId = await openRoom()
    const there = await alice.sendText(roomId, 'there')
    await bob.mustSyncUntil(syncTimelineHasEventId(roomId, there))
    const back = await bob.sendText(roomId, 'and back')
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, back))
  })

  it('tells a server whose last user is removed', async () => {
    const roomId = await openRoom()
    await alice.kick(roomId, bob.userId, 'out')
    await bob.mustSyncUntil((sync) => dig(sync, 'rooms', 'leave', roomId) !== undefined)
  })

  it('shows who types, and that they stop', async () => {
    const roomId = await openRoom()
    const since = await bob.syncToken()
    const typing = path`/_matrix/client/v3/rooms/${roomId}/typing/${alice.userId}`
    await alice.must('PUT', typing, { body: { typing: true, timeout: 20_000 } })
    const types = await bob.mustSyncUntil(typingUsers(roomId, [alice.userId]), { since })
    await alice.must('PUT', typing, { body: { typing: false } })
    await bob.mustSyncUntil(typingUsers(roomId, []), { since: types })
  })

  it('shows how far people have read, in threads too', async () => {
    const roomId = await openRoom()
    const root = await bob.sendText(roomId, 'root')
    const reply = await bob.sendEvent(roomId, 'm.room.message', {
      msgtype: 'm.text',
      body: 'in the thread',
      'm.relates_to': { rel_type: 'm.thread', event_id: root },
    })
    await alice.mustSyncUntil(syncTimelineHasEventId(roomId, reply))
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${root}`, {
      body: { thread_id: 'main' },
    })
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read/${reply}`, {
      body: { thread_id: root },
    })
    await alice.must('POST', path`/_matrix/client/v3/rooms/${roomId}/receipt/m.read.private/${reply}`, {
      body: {},
    })
    const seen = (eventId: string, threadId: string): SyncCheck =>
      syncEphemeralHas(
        roomId,
        ({ type, content }) =>
          type === 'm.receipt' && dig(content, eventId, 'm.read', alice.userId, 'thread_id') === threadId,
      )
    await bob.mustSyncUntil([seen(root, 'main'), seen(reply, root)])
    const all = JSON.stringify(await bob.sync())
    expect(all).not.to.include('m.read.private')
  })

  it('shows who is online', async () => {
    await openRoom()
    const since = await bob.syncToken()
    const status = path`/_matrix/client/v3/presence/${alice.userId}/status`
    await alice.must('PUT', status, { body: { presence: 'online', status_msg: 'here' } })
    const online = await bob.mustSyncUntil(presenceOf(alice.userId, 'online', 'here'), { since })
    await alice.must('PUT', status, { body: { presence: 'unavailable' } })
    await bob.mustSyncUntil(presenceOf(alice.userId, 'unavailable'), { since: online })
    const seen = await bob.must('GET', status)
    expect(seen['presence']).to.equal('unavailable')
  })

  it('shows who is online to those who come into a room', async () => {
    const [carol, dave] = [
      await servers.get('a.test').register('carol'),
      await servers.get('b.test').register('dave'),
    ]
    await carol.must('PUT', path`/_matrix/client/v3/presence/${carol.userId}/status`, {
      body: { presence: 'online', status_msg: 'carol is here' },
    })
    await dave.must('PUT', path`/_matrix/client/v3/presence/${dave.userId}/status`, {
      body: { presence: 'online', status_msg: 'dave is here' },
    })
    const roomId = await carol.createRoom({ preset: 'public_chat' })
    await dave.join(roomId, { via: ['a.test'] })
    await dave.mustSyncUntil(presenceOf(carol.userId, 'online', 'carol is here'))
    await carol.mustSyncUntil(presenceOf(dave.userId, 'online', 'dave is here'))
  })

  it('delivers messages to devices, also between those who share no room', async () => {
    const carol = await servers.get('a.test').register('carla')
    const content = { secret: 'message' }
    const since = await bob.syncToken()
    await carol.must('PUT', path`/_matrix/client/v3/sendToDevice/my.type/${'txn1'}`, {
      body: { messages: { [bob.userId]: { [bob.deviceId]: content } } },
    })
    await bob.mustSyncUntil(
      syncToDeviceHas(
        ({ type, sender, content: got }) =>
          type === 'my.type' && sender === carol.userId && JSON.stringify(got) === JSON.stringify(content),
      ),
      { since },
    )
  })
})

function typingUsers(roomId: string, userIds: readonly string[]): SyncCheck {
  return syncEphemeralHas(
    roomId,
    ({ type, content }) =>
      type === 'm.typing' && JSON.stringify(dig(content, 'user_ids')) === JSON.stringify(userIds),
  )
}

function presenceOf(userId: string, presence: string, status?: string): SyncCheck {
  return (sync) => {
    const events = dig(sync, 'presence', 'events')
    return (
      Array.isArray(events) &&
      events.some(
        (event) =>
          dig(event, 'sender') === userId &&
          dig(event, 'content', 'presence') === presence &&
          dig(event, 'content', 'status_msg') === status,
      )
    )
  }
}
