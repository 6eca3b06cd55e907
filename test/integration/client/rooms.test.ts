import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

forEachServerDatabase('creating rooms', (database) => {
  let server: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    server = await startHomeserver({
      database,
      config: { room_list_publication_rules: [{ action: 'allow' }] },
    })
    alice = await server.register('alice')
    bob = await server.register('bob')
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
  })

  const refused = async (body: object, status: number, errcode: string): Promise<void> => {
    const response = await alice.request('POST', '/_matrix/client/v3/createRoom', { body: body as never })
    expect([response.status, response.body['errcode']], response.text).to.deep.equal([status, errcode])
  }

  it('gives the default version without a body full of wishes', async () => {
    const roomId = await alice.createRoom()
    const capabilities = await alice.must('GET', '/_matrix/client/v3/capabilities')
    const versions = (capabilities['capabilities'] as { 'm.room_versions': { default: string } })[
      'm.room_versions'
    ]
    expect((await alice.state(roomId, 'm.room.create'))['room_version']).to.equal(versions.default)
  })

  it('takes name, topic, version, alias and null for what is left out', async () => {
    const roomId = await alice.createRoom({
      name: 'Cats',
      topic: 'About cats',
      room_version: '10',
      room_alias_name: 'create',
      visibility: 'public',
      preset: null,
      invite: null,
      creation_content: null,
      is_direct: null,
    })
    expect(await alice.state(roomId, 'm.room.name')).to.deep.equal({ name: 'Cats' })
    expect((await alice.state(roomId, 'm.room.topic'))['topic']).to.equal('About cats')
    expect((await alice.state(roomId, 'm.room.create'))['room_version']).to.equal('10')
    const { body } = await alice.request('GET', path`/_matrix/client/v3/directory/room/${'#create:hs.test'}`)
    expect(body).to.deep.equal({ room_id: roomId, servers: ['hs.test'] })
  })

  it('says what is wrong with a request', async () => {
    await refused({ room_version: 1 }, 400, 'M_BAD_JSON')
    await refused({ room_version: 'ahfgwjyerhgiuveisbruvybseyrugvi' }, 400, 'M_UNSUPPORTED_ROOM_VERSION')
    await refused({ preset: 'cat' }, 400, 'M_INVALID_PARAM')
    await refused({ invite: 'bob' }, 400, 'M_BAD_JSON')
    await refused({ initial_state: [{ content: {} }] }, 400, 'M_MISSING_PARAM')
    await refused({ invite_3pid: [{ medium: 'email', address: 'a@b' }] }, 400, 'M_MISSING_PARAM')
    await refused(
      { room_version: '11', power_level_content_override: { users: {} } },
      400,
      'M_INVALID_ROOM_STATE',
    )
    const response = await server.client().request('POST', '/_matrix/client/v3/createRoom', { body: {} })
    expect(response.status).to.equal(401)
  })

  it('invites with the room', async () => {
    const roomId = await alice.createRoom({ invite: [bob.userId], is_direct: true })
    const content = await alice.state(roomId, 'm.room.member', bob.userId)
    expect(content).to.include({ membership: 'invite', is_direct: true })
    expect(await bob.join(roomId)).to.equal(roomId)
    const { joined_rooms: joined } = await bob.must('GET', '/_matrix/client/v3/joined_rooms')
    expect(joined).to.include(roomId)
  })

  it('makes rooms whose ID is the hash of the create event', async () => {
    const roomId = await alice.createRoom({ room_version: '12' })
    const create = await alice.must(
      'GET',
      path`/_matrix/client/v3/rooms/${roomId}/event/${`$${roomId.slice(1)}`}`,
    )
    expect(create).to.include({ type: 'm.room.create', room_id: roomId })
  })

  it('makes many rooms at once', async () => {
    const rooms = await Promise.all(
      Array.from({ length: 20 }, () => alice.createRoom({ preset: 'public_chat' })),
    )
    expect(new Set(rooms).size).to.equal(20)
    await Promise.all(rooms.map((roomId) => bob.join(roomId)))
    for (const roomId of rooms) {
      expect((await alice.state(roomId, 'm.room.member', bob.userId))['membership']).to.equal('join')
    }
  })
})
