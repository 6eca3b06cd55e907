import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import type { MatrixClient } from '../../support/matrix-client.js'
import { uploadFile } from '../../support/media-client.js'

const V1 = '/_synapse/admin/v1'
const V2 = '/_synapse/admin/v2'
const V3 = '/_matrix/client/v3'

describe('the administration API of what users have', function () {
  this.timeout(20_000)
  let server: TestHomeserver
  let admin: MatrixClient
  let alice: MatrixClient

  before(async () => {
    server = await startHomeserver()
    admin = await server.register('admin', { isAdmin: true })
    alice = await server.register('alice')
  })
  after(() => server[Symbol.asyncDispose]())

  const ofAlice = (what: string): string => `${V1}/users/${alice.userId}/${what}`
  const refusal = async (method: string, target: string, body?: JsonObject) => {
    const answer = await admin.request(method, target, body === undefined ? {} : { body })
    return [answer.status, answer.body['errcode']]
  }

  it('shows account data, pushers and devices', async () => {
    const roomId = await alice.createRoom()
    const data = `${V3}/user/${alice.userId}`
    await alice.must('PUT', `${data}/account_data/org.test`, { body: { a: 1 } })
    await alice.must('PUT', `${data}/rooms/${roomId}/account_data/org.test`, { body: { b: 2 } })
    const { account_data: kept } = await admin.must('GET', ofAlice('accountdata'))
    expect((kept as JsonObject)['global']).to.deep.include({ 'org.test': { a: 1 } })
    expect((kept as JsonObject)['rooms']).to.deep.equal({ [roomId]: { 'org.test': { b: 2 } } })
    const pusher = {
      app_display_name: 'App',
      app_id: 'a.app',
      data: { url: 'https://push.test/_matrix/push/v1/notify' },
      device_display_name: 'Phone',
      kind: 'http',
      lang: 'en',
      pushkey: 'key',
    }
    await alice.must('POST', `${V3}/pushers/set`, { body: pusher })
    expect(await admin.must('GET', ofAlice('pushers'))).to.deep.equal({
      pushers: [{ ...pusher, profile_tag: '' }],
      total: 1,
    })
    const devices = `${V2}/users/${alice.userId}/devices`
    const made = await admin.request('POST', devices, { body: { device_id: 'MADE' } })
    expect([made.status, made.body]).to.deep.equal([201, {}])
    expect(await admin.must('GET', `${devices}/MADE`)).to.deep.include({
      device_id: 'MADE',
      display_name: null,
    })
    for (const what of ['accountdata', 'pushers', 'media']) {
      expect(await refusal('GET', `${V1}/users/@no:hs.test/${what}`)).to.deep.equal([404, 'M_NOT_FOUND'])
      expect(await refusal('GET', `${V1}/users/@a:b.test/${what}`)).to.deep.equal([400, 'M_INVALID_PARAM'])
    }
  })

  it('lists files page by page, and protects them', async () => {
    const upload = async (name: string): Promise<string> => {
      const uri = await uploadFile(alice, name, { name, type: 'text/plain' })
      return uri.slice(uri.lastIndexOf('/') + 1)
    }
    const ids = [await upload('b'), await upload('ab')]
    const listed = await admin.must('GET', ofAlice('media?order_by=upload_name&limit=1'))
    expect(listed).to.deep.include({ total: 2, next_token: 1 })
    const [file] = listed['media'] as JsonObject[]
    expect(file).to.deep.include({
      media_id: ids[1],
      media_type: 'text/plain',
      media_length: 2,
      upload_name: 'ab',
      quarantined_by: null,
      safe_from_quarantine: false,
    })
    expect(file).to.include.keys('created_ts', 'last_access_ts')
    await admin.must('POST', `${V1}/media/protect/${ids[0]!}`, { body: {} })
    const { media_info: info } = await admin.must('GET', `${V1}/media/hs.test/${ids[0]!}`)
    expect(info).to.deep.include({
      media_origin: null,
      user_id: alice.userId,
      media_id: ids[0],
      media_length: 1,
      safe_from_quarantine: true,
    })
    expect(await refusal('GET', `${V1}/media/hs.test/nothing`)).to.deep.equal([404, 'M_NOT_FOUND'])
    const { num_quarantined: changed } = await admin.must(
      'POST',
      `${V1}/user/${alice.userId}/media/quarantine`,
    )
    expect(changed).to.equal(1)
    await admin.must('POST', `${V1}/media/unprotect/${ids[0]!}`)
    expect(await refusal('POST', `${V1}/media/protect/nothing`)).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('finds users by their addresses', async () => {
    await admin.must('PUT', `${V2}/users/${alice.userId}`, {
      body: { threepids: [{ medium: 'email', address: 'Alice@Example.org' }] },
    })
    const found = await admin.must('GET', `${V1}/threepid/email/users/alice@example.org`)
    expect(found).to.deep.equal({ user_id: alice.userId })
    const nobody = `${V1}/threepid/email/users/bob@example.org`
    expect(await refusal('GET', nobody)).to.deep.equal([404, 'M_NOT_FOUND'])
    expect(await refusal('GET', `${V1}/auth_providers/oidc/users/1`)).to.deep.equal([404, 'M_NOT_FOUND'])
    const ids = [{ auth_provider: 'oidc', external_id: '1' }]
    const account = await admin.must('PUT', `${V2}/users/${alice.userId}`, { body: { external_ids: ids } })
    expect(account['external_ids']).to.deep.equal(ids)
    const known = await admin.must('GET', `${V1}/auth_providers/oidc/users/1`)
    expect(known).to.deep.equal({ user_id: alice.userId })
    const own = `${V2}/users/${admin.userId}`
    expect(await refusal('PUT', own, { external_ids: ids })).to.deep.equal([409, 'M_UNKNOWN'])
    await admin.must('PUT', `${V2}/users/${alice.userId}`, { body: { external_ids: [] } })
    expect(await refusal('GET', `${V1}/auth_providers/oidc/users/1`)).to.deep.equal([404, 'M_NOT_FOUND'])
  })

  it('lets administrators act as users, whose devices do not show it', async () => {
    const devices = (await admin.must('GET', `${V2}/users/${alice.userId}/devices`))['total']
    const { access_token: token } = await admin.must('POST', ofAlice('login'))
    const puppet = server.client().withSession({
      userId: alice.userId,
      deviceId: '',
      accessToken: token as string,
    })
    expect(await puppet.must('GET', `${V3}/account/whoami`)).to.deep.equal({
      user_id: alice.userId,
      is_guest: false,
    })
    expect((await admin.must('GET', `${V2}/users/${alice.userId}/devices`))['total']).to.equal(devices)
    const own = `${V1}/users/${admin.userId}/login`
    expect(await refusal('POST', own, {})).to.deep.equal([400, 'M_UNKNOWN'])
    expect(await refusal('POST', `${V1}/users/@a:b.test/login`, {})).to.deep.equal([400, 'M_INVALID_PARAM'])
  })

  it('gives users limits of their own', async () => {
    const config = { rc_message: { per_second: 0.001, burst_count: 1 } }
    await using limited = await startHomeserver({ config })
    const first = await limited.register('admin', { isAdmin: true })
    const spammer = await limited.register('bob')
    const roomId = await spammer.createRoom()
    const target = `${V1}/users/${spammer.userId}/override_ratelimit`
    expect(await first.must('GET', target)).to.deep.equal({})
    const free = { messages_per_second: 0, burst_count: 0 }
    expect(await first.must('POST', target, { body: {} })).to.deep.equal(free)
    for (const text of ['1', '2', '3']) await spammer.sendText(roomId, text)
    await limited.restart()
    const session = (of: MatrixClient) => ({
      userId: of.userId,
      deviceId: of.deviceId,
      accessToken: of.accessToken,
    })
    const [operator, bob] = [first, spammer].map((of) => limited.client().withSession(session(of))) as [
      MatrixClient,
      MatrixClient,
    ]
    expect(await operator.must('GET', target)).to.deep.equal(free)
    const few = { messages_per_second: 1, burst_count: 5 }
    expect(await operator.must('POST', target, { body: few })).to.deep.equal(few)
    expect(await operator.must('DELETE', target)).to.deep.equal({})
    const send = async (id: number) => {
      const body = { msgtype: 'm.text', body: 'x' }
      const path = `${V3}/rooms/${roomId}/send/m.room.message/${id}`
      return (await bob.request('PUT', path, { body })).status
    }
    expect([await send(1), await send(2)]).to.deep.equal([200, 429])
    const bad = await operator.request('POST', target, { body: { burst_count: -1 } })
    expect(bad.status).to.equal(400)
  })

  it('lets users replace their cross-signing keys, who have any', async () => {
    const target = ofAlice('_allow_cross_signing_replacement_without_uia')
    expect(await refusal('POST', target)).to.deep.equal([404, 'M_NOT_FOUND'])
  })
})

describe('the names of users who may not choose them', () => {
  it('are chosen by administrators', async () => {
    const fixed = { enable_set_displayname: false, enable_set_avatar_url: false }
    await using server = await startHomeserver({ config: fixed })
    const admin = await server.register('admin', { isAdmin: true })
    const alice = await server.register('alice')
    const own = await alice.request('PUT', `${V3}/profile/${alice.userId}/displayname`, {
      body: { displayname: 'Other' },
    })
    expect([own.status, own.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const account = `${V2}/users/${alice.userId}`
    for (const profile of [
      { displayname: 'Alice A.', avatar_url: 'mxc://hs.test/a' },
      { displayname: 'Alice B.', avatar_url: 'mxc://hs.test/b' },
    ])
      expect(await admin.must('PUT', account, { body: profile })).to.include(profile)
    const empty = await admin.must('PUT', account, { body: { displayname: '', avatar_url: '' } })
    expect([empty['displayname'], empty['avatar_url']]).to.deep.equal([null, null])
  })
})
