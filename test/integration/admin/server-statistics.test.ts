import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startFederation, type TestFederation } from '../../support/federation.js'
import { forEachServerDatabase, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'
import { uploadFile } from '../../support/media-client.js'

const V1 = '/_synapse/admin/v1'

forEachServerDatabase('the administration API of the server as a whole', (database) => {
  let server: TestHomeserver
  let admin: MatrixClient
  let alice: MatrixClient

  before(async () => {
    server = await startHomeserver({ database })
    admin = await server.register('admin', { isAdmin: true })
    alice = await server.register('alice')
  })
  after(() => server[Symbol.asyncDispose]())

  it('says who has uploaded how much', async () => {
    for (const text of ['1', '22']) await uploadFile(alice, text)
    await uploadFile(admin, '4444')
    const statistics = (query: string) => admin.must('GET', `${V1}/statistics/users/media${query}`)
    const ofAlice = { user_id: alice.userId, displayname: 'alice', media_count: 2, media_length: 3 }
    const ofAdmin = { user_id: admin.userId, displayname: 'admin', media_count: 1, media_length: 4 }
    expect(await statistics('')).to.deep.equal({ users: [ofAdmin, ofAlice], total: 2 })
    expect((await statistics('?order_by=media_count&dir=b'))['users']).to.deep.equal([ofAlice, ofAdmin])
    const page = await statistics('?order_by=media_length&limit=1')
    expect(page).to.deep.equal({ users: [ofAlice], total: 2, next_token: 1 })
    expect(await statistics('?search_term=ALI')).to.deep.equal({ users: [ofAlice], total: 1 })
    expect(await statistics('?from_ts=99999999999999')).to.deep.equal({ users: [], total: 0 })
    for (const query of ['?search_term=', '?from_ts=2&until_ts=1', '?order_by=x']) {
      const bad = await admin.request('GET', `${V1}/statistics/users/media${query}`)
      expect([bad.status, bad.body['errcode']], query).to.deep.equal([400, 'M_INVALID_PARAM'])
    }
  })

  it('says which rooms take most', async () => {
    const roomId = await alice.createRoom({})
    const { rooms } = await admin.must('GET', `${V1}/statistics/database/rooms`)
    const [room] = rooms as JsonObject[]
    expect(room).to.have.property('room_id', roomId)
    expect(room?.['estimated_size']).to.be.above(1_000)
  })

  it('lists the users whom others have reported', async () => {
    await alice.must('POST', path`/_matrix/client/v3/users/${admin.userId}/report`, {
      body: { reason: 'Rude' },
    })
    const listed = await admin.must('GET', `${V1}/user_reports`)
    expect(listed['total']).to.equal(1)
    const [report] = listed['user_reports'] as JsonObject[]
    expect(report).to.deep.include({ user_id: alice.userId, target_user_id: admin.userId, reason: 'Rude' })
    expect(report).to.include.keys('id', 'received_ts')
    expect((await admin.must('GET', `${V1}/user_reports?target_user_id=alice`))['total']).to.equal(0)
    expect((await admin.must('GET', `${V1}/user_reports?user_id=alice`))['total']).to.equal(1)
    const one = `${V1}/user_reports/${report?.['id'] as number}`
    expect(await admin.must('GET', one)).to.deep.equal(report)
    expect(await admin.must('DELETE', one)).to.deep.equal({})
    const gone = await admin.request('GET', one)
    expect([gone.status, gone.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('counts invitations and rooms since a time', async () => {
    const bob = await server.register('bob')
    const before = Date.now()
    const roomId = await bob.createRoom({ invite: ['@alice:hs.test', '@admin:hs.test'] })
    await bob.must('POST', `/_matrix/client/v3/rooms/${roomId}/kick`, { body: { user_id: '@admin:hs.test' } })
    await bob.must('PUT', `/_matrix/client/v3/profile/${bob.userId}/displayname`, {
      body: { displayname: 'Bob' },
    })
    await bob
      .createRoom({ name: 'Left' })
      .then((left) => bob.must('POST', `/_matrix/client/v3/rooms/${left}/leave`))
    const count = async (client: MatrixClient, what: string, since: number): Promise<JsonObject> =>
      admin.must('GET', `${V1}/users/${client.userId}/${what}?from_ts=${since}`)
    const later = Date.now() + 60_000
    expect(await count(bob, 'sent_invite_count', before)).to.deep.equal({ invite_count: 2 })
    expect(await count(bob, 'sent_invite_count', later)).to.deep.equal({ invite_count: 0 })
    expect(await count(alice, 'sent_invite_count', before)).to.deep.equal({ invite_count: 0 })
    const joined = 'cumulative_joined_room_count'
    expect(await count(bob, joined, before)).to.deep.equal({ [joined]: 2 })
    expect(await count(bob, joined, later)).to.deep.equal({ [joined]: 0 })
    const ofAlice = (what: string): string => `${V1}/users/${alice.userId}/${what}`
    const refusal = async (target: string): Promise<unknown[]> => {
      const answer = await admin.request('GET', target)
      return [answer.status, answer.body['errcode']]
    }
    for (const what of ['sent_invite_count', joined]) {
      expect(await refusal(ofAlice(what))).to.deep.equal([400, 'M_MISSING_PARAM'])
      expect(await refusal(`${ofAlice(what)}?from_ts=-1`)).to.deep.equal([400, 'M_INVALID_PARAM'])
      const others = `${V1}/users/@x:elsewhere.test/${what}?from_ts=0`
      expect(await refusal(others)).to.deep.equal([400, 'M_INVALID_PARAM'])
      expect(await refusal(`${V1}/users/@no:hs.test/${what}?from_ts=0`)).to.deep.equal([404, 'M_NOT_FOUND'])
    }
  })
})

describe('the administration API of other servers', () => {
  let servers: TestFederation
  before(async () => {
    servers = await startFederation(['a.test', 'b.test'])
  })
  after(() => servers[Symbol.asyncDispose]())

  it('shows them and the rooms they are in, and has those tried again that fail', async () => {
    const admin = await servers.get('a.test').register('admin', { isAdmin: true })
    const bob = await servers.get('b.test').register('bob')
    const roomId = await admin.createRoom({ preset: 'public_chat' })
    await bob.join(roomId, { via: ['a.test'] })
    const at = (what: string) => `${V1}/federation/destinations${what}`
    const well = {
      destination: 'b.test',
      retry_last_ts: 0,
      retry_interval: 0,
      failure_ts: null,
      last_successful_stream_ordering: null,
    }
    expect(await admin.must('GET', at('?destination=b.t'))).to.deep.equal({ destinations: [well], total: 1 })
    expect(await admin.must('GET', at('/b.test'))).to.deep.equal(well)
    const { rooms, total } = await admin.must('GET', at('/b.test/rooms'))
    expect([total, (rooms as JsonObject[]).map((room) => room['room_id'])]).to.deep.equal([1, [roomId]])
    const refusal = async (method: string, what: string) => {
      const answer = await admin.request(method, at(what))
      return [answer.status, answer.body['errcode']]
    }
    expect(await refusal('POST', '/b.test/reset_connection')).to.deep.equal([400, 'M_UNKNOWN'])
    expect(await refusal('GET', '/nowhere.test')).to.deep.equal([404, 'M_NOT_FOUND'])
    await admin.request('GET', path`/_matrix/client/v3/directory/room/${'#x:nowhere.test'}`)
    const failing = await admin.must('GET', at('/nowhere.test'))
    expect(failing['failure_ts']).to.be.a('number')
    expect(failing['retry_last_ts']).to.be.at.least(Number(failing['failure_ts']))
    expect(failing['retry_interval']).to.be.above(0)
    expect(await admin.must('POST', at('/nowhere.test/reset_connection'))).to.deep.equal({})
    expect(await refusal('GET', '/nowhere.test')).to.deep.equal([404, 'M_NOT_FOUND'])
  })
})
