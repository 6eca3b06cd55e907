import { expect } from 'chai'
import { startFederation } from '../../support/federation.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { dig, eventsAt, path, syncJoinedTo, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

async function erase(hs: TestHomeserver, client: MatrixClient): Promise<void> {
  await hs.server.services.accountDeactivation.deactivate(client.userId as never, { erase: true })
  await hs.server.services.accountDeactivation.settle()
}

async function textsIn(client: MatrixClient, roomId: string): Promise<unknown[]> {
  const page = await client.must('GET', path`/_matrix/client/v3/rooms/${roomId}/messages`, {
    query: { dir: 'b', limit: 50 },
  })
  return eventsAt(page, 'chunk')
    .filter(({ type }) => type === 'm.room.message')
    .map(({ content }) => dig(content as JsonObject, 'body') ?? null)
    .reverse()
}

forEachServerDatabase('Erased users', (database) => {
  it('have their messages read by those alone who were there', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const carol = await hs.register('carol')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    const eventId = await alice.sendText(roomId, 'before bob')
    await bob.join(roomId)
    await alice.sendText(roomId, 'with bob')
    expect(await textsIn(bob, roomId)).to.deep.equal(['before bob', 'with bob'])
    await erase(hs, alice)
    await bob.sendText(roomId, 'goodbye')
    await carol.join(roomId)
    expect(await textsIn(bob, roomId)).to.deep.equal([null, 'with bob', 'goodbye'])
    expect(await textsIn(carol, roomId)).to.deep.equal([null, null, 'goodbye'])
    const event = await carol.must('GET', path`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`)
    expect(event['content']).to.deep.equal({})
    const sync = await carol.must('GET', '/_matrix/client/v3/sync', { query: { timeout: 0 } })
    const timeline = eventsAt(sync, 'rooms', 'join', roomId, 'timeline', 'events')
    expect(JSON.stringify(timeline)).not.to.match(/before bob|with bob/)
    expect(timeline.map(({ event_id: id }) => id)).to.include(eventId)
    await hs.restart()
    expect(await textsIn(hs.client().withSession(carol), roomId)).to.deep.equal([null, null, 'goodbye'])
  })
})

describe('Erased users between servers', () => {
  it('are not told of to servers that ask for what was said', async () => {
    await using servers = await startFederation(['a.test', 'b.test'])
    const a = servers.get('a.test')
    const alice = await a.register('alice')
    const ann = await a.register('ann')
    const bob = await servers.get('b.test').register('bob')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await ann.join(roomId)
    await alice.sendText(roomId, 'before bob')
    await erase(a, alice)
    await bob.join(roomId, { via: ['a.test'] })
    await ann.mustSyncUntil(syncJoinedTo(roomId, bob.userId))
    expect(await textsIn(bob, roomId)).to.deep.equal([null])
    expect(await textsIn(ann, roomId)).to.deep.equal(['before bob'])
  })
})
