import { expect } from 'chai'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { eventsAt, path, type MatrixClient } from '../../support/matrix-client.js'
import type { JsonObject } from '../../../src/util/json.js'

const PUBLIC_ROOMS = '/_matrix/client/v3/publicRooms'

forEachServerDatabase('the room directory', (database) => {
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

  const put = (client: MatrixClient, alias: string, roomId: string) =>
    client.request('PUT', path`/_matrix/client/v3/directory/room/${alias}`, { body: { room_id: roomId } })
  const remove = (client: MatrixClient, alias: string) =>
    client.request('DELETE', path`/_matrix/client/v3/directory/room/${alias}`)
  const outcome = ({ status, body }: { status: number; body: JsonObject }) => [status, body['errcode']]

  it('has aliases of any letters', async () => {
    const roomId = await alice.createRoom()
    const alias = '#老虎Â£я🤨👉ඞ:hs.test'
    expect((await put(alice, alias, roomId)).status).to.equal(200)
    const resolved = await server.client().request('GET', path`/_matrix/client/v3/directory/room/${alias}`)
    expect(resolved.body['room_id']).to.equal(roomId)
    const { aliases } = await alice.must('GET', path`/_matrix/client/v3/rooms/${roomId}/aliases`)
    expect(aliases).to.deep.equal([alias])
    expect(outcome(await put(alice, alias, roomId))).to.deep.equal([409, 'M_UNKNOWN'])
    expect(outcome(await put(alice, '#x:example.org', roomId))).to.deep.equal([400, 'M_INVALID_PARAM'])
    expect(outcome(await put(alice, 'x:hs.test', roomId))).to.deep.equal([400, 'M_INVALID_PARAM'])
    const strange = await bob.request('GET', path`/_matrix/client/v3/rooms/${roomId}/aliases`)
    expect(strange.status).to.equal(403)
  })

  it('takes aliases back from those who may', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    await put(alice, '#mine:hs.test', roomId)
    expect(outcome(await remove(bob, '#mine:hs.test'))).to.deep.equal([403, 'M_FORBIDDEN'])
    expect((await remove(alice, '#mine:hs.test')).status).to.equal(200)
    expect(outcome(await remove(alice, '#mine:hs.test'))).to.deep.equal([404, 'M_NOT_FOUND'])
    const missing = await alice.request('GET', path`/_matrix/client/v3/directory/room/${'#mine:hs.test'}`)
    expect(outcome(missing)).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('keeps canonical aliases true', async () => {
    const roomId = await alice.createRoom()
    const set = (content: JsonObject) =>
      alice.request('PUT', path`/_matrix/client/v3/rooms/${roomId}/state/m.room.canonical_alias`, {
        body: content,
      })
    expect(outcome(await set({ alias: '#none:hs.test' }))).to.deep.equal([400, 'M_BAD_ALIAS'])
    expect(outcome(await set({ alias: '%none:hs.test' }))).to.deep.equal([400, 'M_INVALID_PARAM'])
    await put(alice, '#true:hs.test', roomId)
    expect((await set({ alias: '#true:hs.test' })).status).to.equal(200)
    await remove(alice, '#true:hs.test')
    expect(await alice.state(roomId, 'm.room.canonical_alias')).to.deep.equal({})
  })

  it('lists and finds published rooms', async () => {
    const roomId = await alice.createRoom({
      visibility: 'public',
      name: 'Test Name',
      topic: 'Test Topic Wombles',
    })
    const listed = eventsAt(await bob.must('GET', PUBLIC_ROOMS), 'chunk')
    expect(listed.map((room) => room['room_id'])).to.include(roomId)
    const found = await bob.must('POST', PUBLIC_ROOMS, {
      body: { filter: { generic_search_term: 'wombles' } },
    })
    expect(eventsAt(found, 'chunk').map((room) => room['room_id'])).to.deep.equal([roomId])
    const visibility = path`/_matrix/client/v3/directory/list/room/${roomId}`
    expect(await server.client().must('GET', visibility)).to.deep.equal({ visibility: 'public' })
    expect((await bob.request('PUT', visibility, { body: { visibility: 'private' } })).status).to.equal(403)
    await alice.must('PUT', visibility, { body: { visibility: 'private' } })
    expect(await alice.must('GET', visibility)).to.deep.equal({ visibility: 'private' })
    await alice.must('PUT', visibility, { body: {} })
    expect(await alice.must('GET', visibility)).to.deep.equal({ visibility: 'public' })
  })

  it('shows join rules, and filters by type', async () => {
    const space = await alice.createRoom({ visibility: 'public', creation_content: { type: 'm.space' } })
    const knock = await alice.createRoom({
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
    })
    await alice.must('PUT', path`/_matrix/client/v3/directory/list/room/${knock}`, { body: {} })
    const list = async (filter: JsonObject) =>
      eventsAt(await bob.must('POST', PUBLIC_ROOMS, { body: { filter } }), 'chunk')
    expect((await list({ room_types: ['m.space'] })).map((room) => room['room_id'])).to.deep.equal([space])
    const others = await list({ room_types: [null] })
    expect(others.find((room) => room['room_id'] === knock)).to.include({ join_rule: 'knock' })
    expect(others.map((room) => room['room_id'])).not.to.include(space)
  })

  it('answers only those who say who they are, and nonsense with an error', async () => {
    expect(outcome(await server.client().request('GET', PUBLIC_ROOMS))).to.deep.equal([
      401,
      'M_MISSING_TOKEN',
    ])
    const strange = { query: { since: 'nonsense' } }
    expect(outcome(await alice.request('GET', PUBLIC_ROOMS, strange))).to.deep.equal([400, 'M_INVALID_PARAM'])
    const remote = { query: { server: 'gone.invalid' } }
    expect((await alice.request('GET', PUBLIC_ROOMS, remote)).status).to.be.oneOf([502, 504])
    const unnamed = { query: { server: 'no server name' } }
    expect(outcome(await alice.request('GET', PUBLIC_ROOMS, unnamed))).to.deep.equal([400, 'M_INVALID_PARAM'])
  })
})
