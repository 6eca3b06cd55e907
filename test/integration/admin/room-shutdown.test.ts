import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'

const V1 = '/_synapse/admin/v1/rooms'
const V2 = '/_synapse/admin/v2/rooms'

forEachServerDatabase('the administration API of deleting rooms', (database) => {
  let server: TestHomeserver
  let admin: MatrixClient
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    server = await startHomeserver({ database })
    admin = await server.register('admin', { isAdmin: true })
    alice = await server.register('alice')
    bob = await server.register('bob')
  })
  after(() => server[Symbol.asyncDispose]())

  const makeRoom = async (name: string, alias: string) => {
    const roomId = await alice.createRoom({ name, room_alias_name: alias, preset: 'public_chat' })
    await bob.join(roomId)
    await alice.sendText(roomId, 'Psst')
    return roomId
  }

  async function endOf(id: unknown): Promise<JsonObject> {
    let status: JsonObject
    do status = await admin.must('GET', `${V2}/delete_status/${id as string}`)
    while (status['status'] === 'active')
    return status
  }

  it('moves everybody to a room where they are told why, and removes the old one', async () => {
    const roomId = await makeRoom('Loot', 'loot')
    const since = await bob.syncToken()
    const body = { new_room_user_id: admin.userId, room_name: 'Closed', message: 'No loot here', block: true }
    const answer = await admin.must('DELETE', `${V1}/${roomId}`, { body })
    const newRoom = answer['new_room_id'] as string
    expect(answer['kicked_users']).to.have.members([alice.userId, bob.userId])
    expect(answer).to.deep.include({ failed_to_kick_users: [], local_aliases: ['#loot:hs.test'] })
    expect((await bob.state(newRoom, 'm.room.name'))['name']).to.equal('Closed')
    const said = eventsAt(await bob.messages(newRoom), 'chunk').map((event) => event['content'])
    expect(said).to.deep.include({ msgtype: 'm.text', body: 'No loot here' })
    expect(
      (
        await bob.request('PUT', path`/_matrix/client/v3/rooms/${newRoom}/send/m.room.message/1`, {
          body: { msgtype: 'm.text', body: 'But' },
        })
      ).status,
    ).to.equal(403)
    const found = await bob.must('GET', path`/_matrix/client/v3/directory/room/${'#loot:hs.test'}`)
    expect(found['room_id']).to.equal(newRoom)

    for (const target of ['', '/members', '/state']) {
      expect((await admin.request('GET', `${V1}/${roomId}${target}`)).status, target).to.equal(404)
    }
    expect(await admin.must('GET', `${V1}/${roomId}/block`)).to.deep.equal({
      block: true,
      user_id: admin.userId,
    })
    const again = await bob.request('POST', path`/_matrix/client/v3/join/${roomId}`, { body: {} })
    expect([again.status, again.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const rooms = (await bob.sync())['rooms'] as JsonObject
    expect(Object.keys((rooms['join'] ?? {}) as JsonObject)).to.deep.equal([newRoom])
    await bob.sync({ since })
  })

  it('works in the background, and tells how far it is', async () => {
    const roomId = await makeRoom('Cats', 'cats')
    const { delete_id: id } = await admin.must('DELETE', `${V2}/${roomId}`, { body: {} })
    const ended = await endOf(id)
    expect(ended).to.deep.include({ delete_id: id, room_id: roomId, status: 'complete' })
    expect((ended['shutdown_room'] as JsonObject)['kicked_users']).to.have.members([alice.userId, bob.userId])
    expect(ended['shutdown_room']).to.deep.include({ new_room_id: null, local_aliases: ['#cats:hs.test'] })
    expect(await admin.must('GET', `${V2}/${roomId}/delete_status`)).to.deep.equal({ results: [ended] })
    const alias = await bob.request('GET', path`/_matrix/client/v3/directory/room/${'#cats:hs.test'}`)
    expect(alias.status).to.equal(404)
    expect(
      (await bob.request('POST', path`/_matrix/client/v3/join/${roomId}`, { body: {} })).status,
    ).to.equal(404)
  })

  it('leaves the room there when it is not to be purged', async () => {
    const roomId = await makeRoom('Dogs', 'dogs')
    await admin.must('DELETE', `${V1}/${roomId}`, { body: { purge: false } })
    const room = await admin.must('GET', `${V1}/${roomId}`)
    expect(room).to.deep.include({ joined_members: 0, forgotten: true, name: 'Dogs' })
  })

  it('blocks rooms that nobody knows, and lets people in again', async () => {
    const unknown = '!unknown:elsewhere.test'
    expect(await admin.must('GET', `${V1}/${unknown}/block`)).to.deep.equal({ block: false })
    expect(await admin.must('PUT', `${V1}/${unknown}/block`, { body: { block: true } })).to.deep.equal({
      block: true,
    })
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await admin.must('PUT', `${V1}/${roomId}/block`, { body: { block: true } })
    const invited = await alice.request('POST', path`/_matrix/client/v3/rooms/${roomId}/invite`, {
      body: { user_id: bob.userId },
    })
    expect(invited.status).to.equal(403)
    await admin.must('PUT', `${V1}/${roomId}/block`, { body: { block: false } })
    await bob.join(roomId)
    const answer = await admin.must('DELETE', `${V1}/${unknown}`, { body: {} })
    expect(answer).to.deep.equal({
      kicked_users: [],
      failed_to_kick_users: [],
      local_aliases: [],
      new_room_id: null,
    })
  })

  it('says what is wrong with a request', async () => {
    const body = { new_room_user_id: '@them:elsewhere.test' }
    const bad = await admin.request('DELETE', `${V2}/!r:hs.test`, { body })
    expect([bad.status, bad.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
    for (const target of [`${V2}/delete_status/nothing`, `${V2}/!r:hs.test/delete_status`]) {
      const missing = await admin.request('GET', target)
      expect([missing.status, missing.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    }
  })
})
