import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import {
  dig,
  path,
  syncEphemeralHas,
  type MatrixClient,
  type SyncCheck,
} from '../../support/matrix-client.js'

function setTyping(client: MatrixClient, roomId: string, body: { typing: boolean; timeout?: number }) {
  return client.request('PUT', path`/_matrix/client/v3/rooms/${roomId}/typing/${client.userId}`, { body })
}

function syncUsersTyping(roomId: string, userIds: readonly string[]): SyncCheck {
  return syncEphemeralHas(roomId, (event) => {
    if (event['type'] !== 'm.typing') return false
    expect(event).not.to.have.property('room_id')
    return JSON.stringify(dig(event, 'content', 'user_ids')) === JSON.stringify(userIds)
  })
}

forEachServerDatabase('typing', (database) => {
  it('is shown to the others in the room until it ends', async () => {
    await using hs = await startHomeserver({ database })
    const [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map((name) => hs.register(name)))
    const roomId = await alice!.createRoom({ preset: 'public_chat' })
    await bob!.join(roomId)
    const bobToken = await bob!.syncToken()
    const carolToken = await carol!.syncToken()
    expect((await setTyping(alice!, roomId, { typing: true, timeout: 10_000 })).body).to.deep.equal({})
    const since = await bob!.mustSyncUntil(syncUsersTyping(roomId, [alice!.userId]), { since: bobToken })
    await setTyping(alice!, roomId, { typing: false })
    const later = await bob!.mustSyncUntil(syncUsersTyping(roomId, []), { since })
    // Who has not heard of it yet is told as well.
    await bob!.mustSyncUntil(syncUsersTyping(roomId, []))
    await setTyping(alice!, roomId, { typing: true, timeout: 50 })
    await bob!.mustSyncUntil(syncUsersTyping(roomId, []), { since: later })
    const ofCarol = await carol!.sync({ since: carolToken })
    expect(dig(ofCarol, 'rooms', 'join', roomId)).to.equal(undefined)
  })

  it('ends when the user leaves', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    await setTyping(bob, roomId, { typing: true })
    const since = await alice.mustSyncUntil(syncUsersTyping(roomId, [bob.userId]))
    await bob.leave(roomId)
    await alice.mustSyncUntil(syncUsersTyping(roomId, []), { since })
  })

  it('is for members, and of oneself', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const refused = await setTyping(bob, roomId, { typing: true })
    expect([refused.status, refused.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const target = path`/_matrix/client/v3/rooms/${roomId}/typing/${bob.userId}`
    const other = await alice.request('PUT', target, { body: { typing: true } })
    expect([other.status, other.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const bad = await alice.request('PUT', path`/_matrix/client/v3/rooms/${roomId}/typing/${alice.userId}`, {
      body: { typing: 'yes' },
    })
    expect([bad.status, bad.body['errcode']]).to.deep.equal([400, 'M_BAD_JSON'])
  })
})
