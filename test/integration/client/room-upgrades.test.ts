import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

forEachServerDatabase('upgrading rooms', (database) => {
  let server: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    server = await startHomeserver({ database })
    alice = await server.register('alice')
    bob = await server.register('bob')
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
  })

  const upgrade = (client: MatrixClient, roomId: string, body: JsonObject) =>
    client.request('POST', path`/_matrix/client/v3/rooms/${roomId}/upgrade`, { body })

  for (const [from, to] of [
    ['10', '11'],
    ['11', '12'],
    ['12', '12'],
  ] as const) {
    it(`leads from ${from} to ${to}`, async () => {
      const old = await alice.createRoom({ room_version: from, preset: 'public_chat', name: 'Cats' })
      await bob.join(old)
      const { body } = await upgrade(alice, old, { new_version: to })
      const next = body['replacement_room'] as string
      expect((await alice.state(old, 'm.room.tombstone'))['replacement_room']).to.equal(next)
      const create = await alice.state(next, 'm.room.create')
      expect(create['room_version']).to.equal(to)
      expect((create['predecessor'] as JsonObject)['room_id']).to.equal(old)
      expect(await alice.state(next, 'm.room.name')).to.deep.equal({ name: 'Cats' })
      await bob.join(next)
      const silenced = await bob.request('PUT', path`/_matrix/client/v3/rooms/${old}/send/m.room.message/x`, {
        body: { msgtype: 'm.text', body: 'hello?' },
      })
      expect(silenced.status).to.equal(403)
    })
  }

  it('says why not', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const outcomes = [
      await upgrade(bob, roomId, { new_version: '12' }),
      await upgrade(alice, roomId, { new_version: 'cat' }),
      await upgrade(alice, roomId, {}),
      await upgrade(alice, roomId, { new_version: 12 }),
      await upgrade(alice, '!unknown:hs.test', { new_version: '12' }),
    ].map(({ status, body }) => [status, body['errcode']])
    expect(outcomes).to.deep.equal([
      [403, 'M_FORBIDDEN'],
      [400, 'M_UNSUPPORTED_ROOM_VERSION'],
      [400, 'M_MISSING_PARAM'],
      [400, 'M_BAD_JSON'],
      [404, 'M_NOT_FOUND'],
    ])
  })
})
