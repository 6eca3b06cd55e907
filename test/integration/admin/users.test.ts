import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { PASSWORD, startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { type ClientResponse, type MatrixClient } from '../../support/matrix-client.js'

const V1 = '/_synapse/admin/v1'
const V2 = '/_synapse/admin/v2'
const ALICE = '@alice:hs.test'

describe('the administration API of users', function () {
  this.timeout(20_000)
  let server: TestHomeserver
  let admin: MatrixClient
  let alice: MatrixClient

  beforeEach(async () => {
    server = await startHomeserver()
    admin = await server.register('admin', { isAdmin: true })
    alice = await server.register('alice')
  })
  afterEach(() => server[Symbol.asyncDispose]())

  const get = (target: string): Promise<JsonObject> => admin.must('GET', target)
  const put = (target: string, body: JsonObject): Promise<ClientResponse> =>
    admin.request('PUT', target, { body })
  const post = (target: string, body: JsonObject): Promise<ClientResponse> =>
    admin.request('POST', target, { body })
  const whoAmI = async (client: MatrixClient): Promise<unknown> =>
    (await client.request('GET', '/_matrix/client/v3/account/whoami')).body['errcode']

  it('is for administrators alone', async () => {
    const answer = await alice.request('GET', `${V2}/users`)
    expect([answer.status, answer.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
  })

  it('lists accounts page by page', async () => {
    const first = await get(`${V2}/users?limit=1`)
    expect(first).to.deep.include({ total: 2, next_token: '1' })
    expect((first['users'] as JsonObject[])[0]).to.have.all.keys(
      'name',
      'user_type',
      'is_guest',
      'admin',
      'deactivated',
      'shadow_banned',
      'displayname',
      'avatar_url',
      'creation_ts',
      'approved',
      'erased',
      'last_seen_ts',
      'locked',
    )
    const second = await get(`${V2}/users?from=1&limit=1`)
    expect(second).not.to.have.property('next_token')
    expect((second['users'] as JsonObject[])[0]).to.deep.include({ name: ALICE, admin: false })
    expect(await get(`${V2}/users?admins=true`)).to.have.property('total', 1)
    expect(await get(`${V2}/users?name=ALI`)).to.have.property('total', 1)
    const bad = await admin.request('GET', `${V2}/users?from=-1`)
    expect([bad.status, bad.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
    await post(`${V1}/deactivate/${ALICE}`, {})
    expect(await get(`${V2}/users`)).to.have.property('total', 1)
    expect(await get(`${V2}/users?deactivated=true`)).to.have.property('total', 2)
    expect(await get('/_synapse/admin/v3/users')).to.have.property('total', 2)
    expect(await get('/_synapse/admin/v3/users?deactivated=true')).to.have.property('total', 1)
  })

  it('makes an account, shows it and changes it', async () => {
    const target = `${V2}/users/@carol:hs.test`
    const made = await put(target, {
      password: PASSWORD,
      displayname: 'Carol',
      threepids: [{ medium: 'email', address: 'Carol@Example.org' }],
      admin: true,
    })
    expect(made.status).to.equal(201)
    expect(made.body).to.deep.include({ name: '@carol:hs.test', displayname: 'Carol', admin: true })
    expect(made.body['threepids']).to.have.length(1)
    expect((made.body['threepids'] as JsonObject[])[0]).to.have.property('address', 'carol@example.org')
    const changed = await put(target, { displayname: null, threepids: [], admin: false, user_type: 'bot' })
    expect(changed.status).to.equal(200)
    expect(changed.body).to.deep.include({ admin: false, user_type: 'bot', threepids: [] })
    expect(await get(target)).to.deep.equal(changed.body)
    await server.client().login('@carol:hs.test', PASSWORD)
    expect((await put(target, { user_type: 'nonsense' })).status).to.equal(400)
    expect((await put(`${V2}/users/@dave:elsewhere.org`, {})).status).to.equal(400)
    expect((await put(`${V2}/users/${admin.userId}`, { admin: false })).status).to.equal(400)
    const missing = await admin.request('GET', `${V2}/users/@nobody:hs.test`)
    expect([missing.status, missing.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('refuses what cannot be', async () => {
    const address = (medium: string, text: string): JsonObject => ({ threepids: [{ medium, address: text }] })
    const refusals: [string, JsonObject, string][] = [
      ['@Upper:hs.test', {}, 'M_INVALID_USERNAME'],
      ['@sp%20ace:hs.test', {}, 'M_INVALID_USERNAME'],
      ['@123:hs.test', {}, 'M_INVALID_USERNAME'],
      ['@eve:hs.test', address('email', 'nonsense'), 'M_INVALID_PARAM'],
      ['@eve:hs.test', address('email', `${'x'.repeat(9_000)}@example.org`), 'M_INVALID_PARAM'],
      ['@eve:hs.test', address('pigeon', '1'), 'M_INVALID_PARAM'],
      [
        '@eve:hs.test',
        { external_ids: [{ auth_provider: 'x'.repeat(300), external_id: '1' }] },
        'M_INVALID_PARAM',
      ],
      ['@eve:hs.test', { approved: false }, 'M_INVALID_PARAM'],
    ]
    for (const [userId, body, errcode] of refusals) {
      const answer = await put(`${V2}/users/${userId}`, body)
      expect([answer.status, answer.body['errcode']], JSON.stringify([userId, body])).to.deep.equal([
        400,
        errcode,
      ])
    }
    expect((await admin.request('GET', `${V2}/users/@eve:hs.test`)).status).to.equal(404)
  })

  it('keeps when addresses were added that stay, and gives nobody those of others', async () => {
    const target = `${V2}/users/@frank:hs.test`
    const first = { medium: 'email', address: 'frank@example.org' }
    const second = { medium: 'msisdn', address: '4912345' }
    const made = await put(target, { approved: true, threepids: [first, first] })
    expect([made.status, made.body['threepids']]).to.have.nested.property('[1].length', 1)
    const kept = (made.body['threepids'] as JsonObject[])[0]
    const changed = await put(target, { threepids: [second, first] })
    expect(changed.body['threepids']).to.have.length(2).and.to.deep.include(kept)
    const taken = await put(`${V2}/users/@carol:hs.test`, { threepids: [first] })
    expect([taken.status, taken.body['errcode']]).to.deep.equal([400, 'M_THREEPID_IN_USE'])
    expect((await get(target))['threepids']).to.have.length(2)
    await put(`${V2}/users/@gina:hs.test`, { threepids: [first] })
    expect((await admin.request('GET', `${V2}/users/@gina:hs.test`)).status).to.equal(404)
  })

  it('writes nothing where an ID of another service is somebody else’s', async () => {
    const ids = { external_ids: [{ auth_provider: 'club', external_id: '17' }] }
    await put(`${V2}/users/@frank:hs.test`, ids)
    const fresh = await put(`${V2}/users/@hugo:hs.test`, { displayname: 'Hugo', ...ids })
    expect([fresh.status, fresh.body['errcode']]).to.deep.equal([409, 'M_UNKNOWN'])
    expect((await admin.request('GET', `${V2}/users/@hugo:hs.test`)).status).to.equal(404)
    const { body: before } = await put(`${V2}/users/@carol:hs.test`, { displayname: 'Carol' })
    const known = await put(`${V2}/users/@carol:hs.test`, { displayname: 'Not she', threepids: [], ...ids })
    expect([known.status, known.body['errcode']]).to.deep.equal([409, 'M_UNKNOWN'])
    expect(await get(`${V2}/users/@carol:hs.test`)).to.deep.equal(before)
  })

  it('ends an account and begins it again', async () => {
    const answer = await post(`${V1}/deactivate/${ALICE}`, { erase: true })
    expect([answer.status, answer.body]).to.deep.equal([200, { id_server_unbind_result: 'success' }])
    expect(await whoAmI(alice)).to.equal('M_UNKNOWN_TOKEN')
    expect(await get(`${V2}/users/${ALICE}`)).to.deep.include({ deactivated: true, erased: true })
    expect((await put(`${V2}/users/${ALICE}`, { deactivated: false })).status).to.equal(400)
    expect((await put(`${V2}/users/${ALICE}`, { deactivated: false, password: PASSWORD })).status).to.equal(
      200,
    )
    await server.login(ALICE)
  })

  it('resets a password, and ends all sessions unless told otherwise', async () => {
    const target = `${V1}/reset_password/${ALICE}`
    await post(target, { new_password: 'another one', logout_devices: false })
    expect(await whoAmI(alice)).to.equal(undefined)
    await post(target, { new_password: 'a third' })
    expect(await whoAmI(alice)).to.equal('M_UNKNOWN_TOKEN')
    await server.client().login(ALICE, 'a third')
  })

  it('says and sets who is an administrator, suspended or shadow-banned', async () => {
    expect(await get(`${V1}/users/${ALICE}/admin`)).to.deep.equal({ admin: false })
    await put(`${V1}/users/${ALICE}/admin`, { admin: true })
    expect(await get(`${V1}/users/${ALICE}/admin`)).to.deep.equal({ admin: true })
    expect((await put(`${V1}/users/${admin.userId}/admin`, { admin: false })).status).to.equal(400)
    const suspended = await put(`${V1}/suspend/${ALICE}`, { suspend: true })
    expect(suspended.body).to.deep.equal({ [`user_${ALICE}_suspended`]: true })
    await post(`${V1}/users/${ALICE}/shadow_ban`, {})
    expect(await get(`${V2}/users/${ALICE}`)).to.deep.include({ shadow_banned: true, suspended: true })
    await admin.request('DELETE', `${V1}/users/${ALICE}/shadow_ban`)
    expect(await get(`${V2}/users/${ALICE}`)).to.have.property('shadow_banned', false)
  })

  it('shows rooms, devices and addresses of a user', async () => {
    const room = await alice.createRoom({})
    expect(await get(`${V1}/users/${ALICE}/joined_rooms`)).to.deep.equal({ joined_rooms: [room], total: 1 })
    expect(await get(`${V1}/users/${ALICE}/memberships`)).to.deep.equal({ memberships: { [room]: 'join' } })
    expect(await get(`${V1}/whois/${ALICE}`)).to.have.property('user_id', ALICE)
    const devices = await get(`${V2}/users/${ALICE}/devices`)
    expect(devices).to.have.property('total', 1)
    const device = `${V2}/users/${ALICE}/devices/${alice.deviceId}`
    await put(device, { display_name: 'Hers' })
    expect(await get(device)).to.deep.include({ display_name: 'Hers', user_id: ALICE, dehydrated: false })
    await admin.request('DELETE', device)
    expect(await whoAmI(alice)).to.equal('M_UNKNOWN_TOKEN')
    expect((await admin.request('GET', device)).status).to.equal(404)
    const again = await server.login(ALICE)
    await post(`${V2}/users/${ALICE}/delete_devices`, { devices: [again.deviceId] })
    expect(await whoAmI(again)).to.equal('M_UNKNOWN_TOKEN')
  })

  it('knows which names are free', async () => {
    expect(await get(`${V1}/username_available?username=free`)).to.deep.equal({ available: true })
    const taken = await admin.request('GET', `${V1}/username_available?username=alice`)
    expect([taken.status, taken.body['errcode']]).to.deep.equal([400, 'M_USER_IN_USE'])
  })
})
