import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

const ROOMS = '/_synapse/admin/v1/rooms'

describe('the administration API of rooms', function () {
  this.timeout(20_000)
  let server: TestHomeserver
  let admin: MatrixClient
  let cats: string
  let dogs: string

  before(async () => {
    server = await startHomeserver()
    admin = await server.register('admin', { isAdmin: true })
    const alice = await server.register('alice')
    cats = await alice.createRoom({ name: 'Cats', topic: 'Of cats', preset: 'public_chat' })
    dogs = await alice.createRoom({ name: 'Dogs' })
    await (await server.register('bob')).join(cats)
  })
  after(() => server[Symbol.asyncDispose]())

  const get = (target: string): Promise<JsonObject> => admin.must('GET', target)
  const idsOf = async (query: string): Promise<unknown[]> => {
    const { rooms } = await get(`${ROOMS}${query}`)
    return (rooms as JsonObject[]).map((room) => room['room_id'])
  }

  it('lists rooms page by page, in many orders', async () => {
    expect(await idsOf('')).to.deep.equal([cats, dogs])
    expect(await idsOf('?dir=b')).to.deep.equal([dogs, cats])
    expect(await idsOf('?order_by=joined_members')).to.deep.equal([cats, dogs])
    expect(await idsOf('?order_by=joined_members&dir=b')).to.deep.equal([dogs, cats])
    expect(await idsOf('?search_term=dog')).to.deep.equal([dogs])
    const first = await get(`${ROOMS}?limit=1`)
    expect(first).to.deep.include({ offset: 0, total_rooms: 2, next_batch: 1 })
    const second = await get(`${ROOMS}?limit=1&from=1`)
    expect(second).to.deep.include({ offset: 1, total_rooms: 2, prev_batch: 0 })
    expect(second).not.to.have.property('next_batch')
    for (const query of ['?search_term=', '?order_by=nothing', '?limit=x']) {
      const bad = await admin.request('GET', `${ROOMS}${query}`)
      expect([bad.status, bad.body['errcode']], query).to.deep.equal([400, 'M_INVALID_PARAM'])
    }
  })

  it('shows a room, its members and its state', async () => {
    expect(await get(`${ROOMS}/${cats}`)).to.deep.equal({
      room_id: cats,
      name: 'Cats',
      canonical_alias: null,
      joined_members: 2,
      joined_local_members: 2,
      version: '12',
      creator: '@alice:hs.test',
      encryption: null,
      federatable: true,
      public: false,
      join_rules: 'public',
      guest_access: null,
      history_visibility: 'shared',
      state_events: 8,
      room_type: null,
      avatar: null,
      topic: 'Of cats',
      joined_local_devices: 2,
      forgotten: false,
      tombstoned: false,
      replacement_room: null,
    })
    const members = await get(`${ROOMS}/${cats}/members`)
    expect(members).to.deep.equal({ members: ['@alice:hs.test', '@bob:hs.test'], total: 2 })
    const { state } = await get(`${ROOMS}/${cats}/state?type=m.room.name`)
    expect((state as JsonObject[])[0]).to.deep.include({ type: 'm.room.name', content: { name: 'Cats' } })
    expect((await get(`${ROOMS}/${cats}/state`))['state']).to.have.length(8)
    for (const what of ['', '/members', '/state']) {
      const missing = await admin.request('GET', `${ROOMS}/!nowhere:hs.test${what}`)
      expect([missing.status, missing.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    }
  })

  it('shows what is in a space, also to those who may not look at it', async () => {
    const alice = await server.login('alice')
    const space = await alice.createRoom({ name: 'Pets', creation_content: { type: 'm.space' } })
    for (const [roomId, order] of [
      [cats, 'a'],
      [dogs, 'b'],
      ['!far:elsewhere.test', 'c'],
    ] as const) {
      const child = path`/_matrix/client/v3/rooms/${space}/state/m.space.child/${roomId}`
      await alice.must('PUT', child, { body: { via: ['hs.test'], order } })
    }
    const hierarchy = async (query: string): Promise<[unknown[], unknown]> => {
      const { rooms, next_batch: next } = await get(`${ROOMS}/${space}/hierarchy${query}`)
      return [(rooms as JsonObject[]).map((room) => room['room_id']), next]
    }
    expect(await hierarchy('')).to.deep.equal([[space, cats, dogs], undefined])
    expect(await hierarchy('?max_depth=0')).to.deep.equal([[space], undefined])
    const [first, next] = await hierarchy('?limit=2')
    expect(first).to.deep.equal([space, cats])
    expect(await hierarchy(`?limit=2&from=${String(next)}`)).to.deep.equal([[dogs], undefined])
    const { rooms } = await get(`${ROOMS}/${space}/hierarchy`)
    expect((rooms as JsonObject[])[0]?.['children_state']).to.have.length(3)
    for (const [query, status, errcode] of [
      ['?from=x', 400, 'M_INVALID_PARAM'],
      ['?limit=0', 400, 'M_INVALID_PARAM'],
      ['?max_depth=-1', 400, 'M_INVALID_PARAM'],
    ]) {
      const bad = await admin.request('GET', `${ROOMS}/${space}/hierarchy${String(query)}`)
      expect([bad.status, bad.body['errcode']], String(query)).to.deep.equal([status, errcode])
    }
    const unknown = await admin.request('GET', `${ROOMS}/!nowhere:hs.test/hierarchy`)
    expect([unknown.status, unknown.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    expect((await alice.request('GET', `${ROOMS}/${space}/hierarchy`)).status).to.equal(403)
  })

  it('removes leaves of the graph that are none', async () => {
    const ends = `${ROOMS}/${dogs}/forward_extremities`
    expect(await admin.must('DELETE', ends)).to.deep.equal({ deleted: 0 })
    expect((await get(ends))['count']).to.equal(1)
    const missing = await admin.request('DELETE', `${ROOMS}/!nowhere:hs.test/forward_extremities`)
    expect([missing.status, missing.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
  })
})
