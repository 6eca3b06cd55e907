import { expect } from 'chai'
import type { JsonObject } from '../../../src/util/json.js'
import { CrossSigningIdentity, EncryptingDevice } from '../../support/encryption.js'
import { PASSWORD, forEachServerDatabase, startHomeserver } from '../../support/homeserver.js'
import { path, type MatrixClient } from '../../support/matrix-client.js'

const V3 = '/_matrix/client/v3'
const ALGORITHM = 'signed_curve25519'

async function uploadDevice(client: MatrixClient, ids: readonly string[] = []): Promise<EncryptingDevice> {
  const device = new EncryptingDevice(client)
  const body = { device_keys: device.deviceKeys, one_time_keys: device.oneTimeKeys(ids) }
  expect(await client.must('POST', `${V3}/keys/upload`, { body })).to.deep.equal({
    one_time_key_counts: { [ALGORITHM]: ids.length },
  })
  return device
}

function query(client: MatrixClient, ...users: { userId: string }[]): Promise<JsonObject> {
  const body = { device_keys: Object.fromEntries(users.map(({ userId }) => [userId, []])) }
  return client.must('POST', `${V3}/keys/query`, { body })
}

function claim(client: MatrixClient, from: MatrixClient): Promise<JsonObject> {
  const body = { one_time_keys: { [from.userId]: { [from.deviceId]: ALGORITHM } } }
  return client.must('POST', `${V3}/keys/claim`, { body })
}

async function changedSince(client: MatrixClient, since: string): Promise<unknown> {
  const lists = (await client.sync({ since }))['device_lists'] as JsonObject | undefined
  return lists?.['changed'] ?? []
}

function password(client: MatrixClient, session: unknown): JsonObject {
  const identifier = { type: 'm.id.user', user: client.userId }
  return { type: 'm.login.password', identifier, password: PASSWORD, session: session as string }
}

forEachServerDatabase('keys over HTTP', (database) => {
  it('are published, found and claimed', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const device = await uploadDevice(alice, ['a'])
    const answer = await query(bob, alice, bob)
    expect(answer['device_keys']).to.deep.equal({
      [alice.userId]: { [alice.deviceId]: { ...device.deviceKeys, unsigned: {} } },
      [bob.userId]: {},
    })
    expect(answer['failures']).to.deep.equal({})
    expect((await claim(bob, alice))['one_time_keys']).to.have.property(alice.userId)
    expect((await claim(bob, alice))['one_time_keys']).to.deep.equal({})
  })

  it('are refused when they are none', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const cases: [string, JsonObject, string][] = [
      ['upload', { device_keys: { user_id: alice.userId, device_id: alice.deviceId } }, 'M_BAD_JSON'],
      ['upload', { one_time_keys: [] }, 'M_BAD_JSON'],
      ['query', {}, 'M_MISSING_PARAM'],
      ['query', { device_keys: { [alice.userId]: { DEVICE: true } } }, 'M_BAD_JSON'],
      ['claim', {}, 'M_MISSING_PARAM'],
      ['device_signing/upload', {}, 'M_MISSING_PARAM'],
    ]
    for (const [name, body, errcode] of cases) {
      const response = await alice.request('POST', `${V3}/keys/${name}`, { body })
      expect([response.status, response.body['errcode']], name).to.deep.equal([400, errcode])
    }
    const nothing = await alice.must('POST', `${V3}/keys/upload`, { body: {} })
    expect(nothing).to.deep.equal({ one_time_key_counts: { [ALGORITHM]: 0 } })
  })

  it('are counted in every sync', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const device = await uploadDevice(alice, ['a', 'b'])
    const fallback = device.oneTimeKeys(['f'], { fallback: true })
    await alice.must('POST', `${V3}/keys/upload`, { body: { fallback_keys: fallback } })
    const counts = async () => {
      const { device_one_time_keys_count, device_unused_fallback_key_types } = await alice.sync()
      return [device_one_time_keys_count, device_unused_fallback_key_types]
    }
    expect(await counts()).to.deep.equal([{ [ALGORITHM]: 2 }, [ALGORITHM]])
    await claim(bob, alice)
    expect(await counts()).to.deep.equal([{ [ALGORITHM]: 1 }, [ALGORITHM]])
    await claim(bob, alice)
    expect((await claim(bob, alice))['one_time_keys']).to.deep.equal({
      [alice.userId]: { [alice.deviceId]: fallback },
    })
    expect(await counts()).to.deep.equal([{ [ALGORITHM]: 0 }, []])
    const other = await hs.login(alice.userId)
    expect((await other.sync())['device_one_time_keys_count']).to.deep.equal({ [ALGORITHM]: 0 })
  })

  it('are handed out once each to many who ask at once', async function () {
    this.timeout(30_000)
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const ids = Array.from({ length: 50 }, (_, index) => `k${index}`)
    await uploadDevice(alice, ids)
    const answers = await Promise.all(Array.from({ length: 200 }, () => claim(bob, alice)))
    const names = answers.flatMap((answer) => {
      const byUser = answer['one_time_keys'] as Record<string, Record<string, JsonObject>>
      return Object.keys(byUser[alice.userId]?.[alice.deviceId] ?? {})
    })
    expect(names.sort()).to.deep.equal(ids.map((id) => `${ALGORITHM}:${id}`).sort())
  })

  it('wake those who share a room when they change, and are listed as changes', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const carol = await hs.register('carol')
    const roomId = await alice.createRoom({ preset: 'public_chat' })
    await bob.join(roomId)
    const since = await alice.syncToken()
    const carolSince = await carol.syncToken()
    const waiting = alice.sync({ since, timeout: 8_000 })
    await uploadDevice(bob)
    const news = await waiting
    expect(news['device_lists']).to.deep.equal({ changed: [bob.userId] })
    expect(await changedSince(bob, since), 'their own devices').to.deep.equal([bob.userId])
    expect(await changedSince(carol, carolSince)).to.deep.equal([])
    const changes = (client: MatrixClient, from: string, to: string) =>
      client.must('GET', `${V3}/keys/changes`, { query: { from, to } })
    const to = news['next_batch'] as string
    expect(await changes(alice, since, to)).to.deep.equal({ changed: [bob.userId], left: [] })
    expect(await changes(alice, since, since)).to.deep.equal({ changed: [], left: [] })
    await bob.leave(roomId)
    expect(await changes(alice, to, to)).to.deep.equal({ changed: [], left: [bob.userId] })
    const missing = await alice.request('GET', `${V3}/keys/changes`)
    expect([missing.status, missing.body['errcode']]).to.deep.equal([400, 'M_MISSING_PARAM'])
  })

  it('go with their device', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    await bob.join(await alice.createRoom({ preset: 'public_chat' }))
    await uploadDevice(alice, ['a'])
    const since = await bob.syncToken()
    await alice.must('POST', `${V3}/logout`, { body: {} })
    expect((await query(bob, alice))['device_keys']).to.deep.equal({ [alice.userId]: {} })
    expect((await claim(bob, alice))['one_time_keys']).to.deep.equal({})
    expect(await changedSince(bob, since)).to.deep.equal([alice.userId])
  })
})

forEachServerDatabase('cross-signing over HTTP', (database) => {
  for (const prefix of [V3, '/_matrix/client/unstable']) {
    it(`begins without a password and changes with one (${prefix})`, async () => {
      await using hs = await startHomeserver({ database })
      const alice = await hs.register('alice')
      const upload = (body: JsonObject) =>
        alice.request('POST', `${prefix}/keys/device_signing/upload`, { body })
      const identity = new CrossSigningIdentity(alice.userId)
      expect((await upload({ master_key: identity.masterKey })).status).to.equal(200)
      expect((await upload({ master_key: identity.masterKey })).status).to.equal(200)
      expect((await upload({})).status).to.equal(401)
      expect(
        (await upload({ master_key: new CrossSigningIdentity(alice.userId).masterKey })).status,
      ).to.equal(401)
      const more = { self_signing_key: identity.selfSigningKey }
      const challenge = await upload(more)
      expect(challenge.status).to.equal(401)
      expect(challenge.body['flows']).to.deep.equal([{ stages: ['m.login.password'] }])
      const proved = { ...more, auth: password(alice, challenge.body['session']) }
      expect((await upload(proved)).status).to.equal(200)
      expect((await upload(proved)).status).to.equal(200)
      expect((await query(alice, alice))['self_signing_keys']).to.deep.equal({
        [alice.userId]: identity.selfSigningKey,
      })
    })
  }

  it('tells others of new keys and signatures, and of verified people only the verifier', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const alicePhone = await hs.login(alice.userId)
    await bob.join(await alice.createRoom({ preset: 'public_chat' }))
    const device = await uploadDevice(alice)
    const tokens = async () => [await alicePhone.syncToken(), await bob.syncToken()] as const
    const [alice0, bob0] = await tokens()
    const ofAlice = new CrossSigningIdentity(alice.userId)
    const { user_signing_key: userSigningKey, ...shown } = ofAlice.upload
    await alice.must('POST', `${V3}/keys/device_signing/upload`, { body: shown })
    expect(await changedSince(bob, bob0)).to.deep.equal([alice.userId])
    expect(await changedSince(alicePhone, alice0)).to.deep.equal([alice.userId])

    const [alice1, bob1] = await tokens()
    const auth = password(alice, undefined)
    const added = { user_signing_key: userSigningKey, auth }
    await alice.must('POST', `${V3}/keys/device_signing/upload`, { body: added as JsonObject })
    expect(await changedSince(alicePhone, alice1)).to.deep.equal([alice.userId])
    expect(await changedSince(bob, bob1)).to.deep.equal([])
    const signedDevice = ofAlice.selfSigning.sign(device.deviceKeys, alice.userId)
    const signatures = { [alice.userId]: { [alice.deviceId]: signedDevice } }
    const target = '/_matrix/client/unstable/keys/signatures/upload'
    expect(await alice.must('POST', target, { body: signatures })).to.deep.equal({ failures: {} })
    expect(await changedSince(bob, bob1)).to.deep.equal([alice.userId])
    expect((await query(bob, alice))['device_keys']).to.deep.equal({
      [alice.userId]: { [alice.deviceId]: { ...signedDevice, unsigned: {} } },
    })

    const ofBob = new CrossSigningIdentity(bob.userId)
    await bob.must('POST', `${V3}/keys/device_signing/upload`, { body: ofBob.upload })
    const [alice2, bob2] = await tokens()
    const signedBob = ofAlice.userSigning.sign(ofBob.masterKey, alice.userId)
    const body = { [bob.userId]: { [ofBob.master.publicKey]: signedBob } }
    const waiting = alicePhone.sync({ since: alice2, timeout: 8_000 })
    await alice.must('POST', `${V3}/keys/signatures/upload`, { body })
    expect((await waiting)['device_lists']).to.deep.equal({ changed: [bob.userId] })
    expect(await changedSince(bob, bob2)).to.deep.equal([])
    expect((await query(alicePhone, bob))['master_keys']).to.deep.equal({ [bob.userId]: signedBob })
    expect((await query(bob, bob))['master_keys']).to.deep.equal({ [bob.userId]: ofBob.masterKey })
    expect((await query(bob, alice))['user_signing_keys']).to.deep.equal({})
  })
})

forEachServerDatabase('key backups over HTTP', (database) => {
  const session = { first_message_index: 1, forwarded_count: 0, is_verified: true, session_data: { a: 'b' } }

  for (const prefix of [V3, '/_matrix/client/unstable']) {
    it(`are made, written, read and deleted (${prefix})`, async () => {
      await using hs = await startHomeserver({ database })
      const alice = await hs.register('alice')
      const keys = `${prefix}/room_keys/keys`
      const backup = { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: { public_key: 'key' } }
      const none = await alice.request('GET', `${prefix}/room_keys/version`)
      expect([none.status, none.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
      const { version } = await alice.must('POST', `${prefix}/room_keys/version`, { body: backup })
      const query = { version: version as string }
      const one = path`${'!room:hs.test'}/${'a/b+c'}`
      await alice.must('PUT', `${keys}/${one}`, { query, body: session })
      await alice.must('PUT', `${keys}/!room:hs.test`, {
        query,
        body: { sessions: { d: session } },
      })
      const state = await alice.must('PUT', keys, {
        query,
        body: { rooms: { '!other:hs.test': { sessions: { e: session } } } },
      })
      expect(state).to.deep.equal({ etag: '3', count: 3 })
      expect(await alice.must('GET', `${prefix}/room_keys/version`)).to.deep.equal({
        ...backup,
        version,
        ...state,
      })
      expect(await alice.must('GET', `${keys}/${one}`, { query })).to.deep.equal(session)
      const room = { sessions: { 'a/b+c': session, d: session } }
      expect(await alice.must('GET', `${keys}/!room:hs.test`, { query })).to.deep.equal(room)
      expect(await alice.must('GET', `${keys}/!nowhere:hs.test`, { query })).to.deep.equal({ sessions: {} })
      expect(await alice.must('GET', keys, { query })).to.deep.equal({
        rooms: { '!room:hs.test': room, '!other:hs.test': { sessions: { e: session } } },
      })
      expect(await alice.must('DELETE', `${keys}/${one}`, { query })).to.deep.equal({ etag: '4', count: 2 })
      const gone = await alice.request('GET', `${keys}/${one}`, { query })
      expect([gone.status, gone.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
      expect(await alice.must('DELETE', keys, { query })).to.deep.equal({ etag: '5', count: 0 })
      expect(await alice.must('GET', keys, { query })).to.deep.equal({ rooms: {} })
      await alice.must('DELETE', `${prefix}/room_keys/version/${query.version}`)
      expect((await alice.request('GET', keys, { query })).status).to.equal(404)
    })
  }

  it('say which version is the current one', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const body = { algorithm: 'one', auth_data: {} }
    await alice.must('POST', `${V3}/room_keys/version`, { body })
    await alice.must('POST', `${V3}/room_keys/version`, { body })
    const put = (query: { version?: string }) =>
      alice.request('PUT', `${V3}/room_keys/keys/!r:hs.test/s`, { query, body: session })
    const wrong = await put({ version: '1' })
    expect([wrong.status, wrong.body['errcode'], wrong.body['current_version']]).to.deep.equal([
      403,
      'M_WRONG_ROOM_KEYS_VERSION',
      '2',
    ])
    expect((await put({ version: '7' })).status).to.equal(404)
    expect((await put({})).body['errcode']).to.equal('M_MISSING_PARAM')
    const target = `${V3}/room_keys/version/1`
    const other = await alice.request('PUT', target, { body: { ...body, algorithm: 'two' } })
    expect([other.status, other.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
    const mixed = await alice.request('PUT', target, { body: { ...body, version: '2' } })
    expect([mixed.status, mixed.body['errcode']]).to.deep.equal([400, 'M_INVALID_PARAM'])
    await alice.must('PUT', target, { body: { ...body, auth_data: { a: 1 }, version: '1' } })
    expect(await alice.must('GET', target)).to.deep.include({ auth_data: { a: 1 }, etag: '0' })
  })

  it('take ten thousand sessions in one request', async function () {
    this.timeout(60_000)
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    await alice.must('POST', `${V3}/room_keys/version`, { body: { algorithm: 'one', auth_data: {} } })
    const large = { ...session, session_data: { ciphertext: 'x'.repeat(700) } }
    const sessions = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`s${index}`, large]))
    const body = { rooms: { '!r:hs.test': { sessions } } }
    const query = { version: '1' }
    expect(await alice.must('PUT', `${V3}/room_keys/keys`, { query, body })).to.deep.equal({
      etag: '1',
      count: 10_000,
    })
  })
})

forEachServerDatabase('dehydrated devices over HTTP', (database) => {
  const BASE = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device'

  it('are put away, receive messages and are taken out', async () => {
    await using hs = await startHomeserver({ database })
    const alice = await hs.register('alice')
    const bob = await hs.register('bob')
    const none = await alice.request('GET', BASE)
    expect([none.status, none.body['errcode']]).to.deep.equal([404, 'M_NOT_FOUND'])
    const deviceId = 'base64+of/the+key'
    const device = new EncryptingDevice({ userId: alice.userId, deviceId })
    const body = {
      device_id: deviceId,
      device_data: { algorithm: 'org.matrix.msc3814.v2' },
      initial_device_display_name: 'Dehydrated',
      device_keys: device.deviceKeys,
      one_time_keys: device.oneTimeKeys(['a']),
    }
    expect(await alice.must('PUT', BASE, { body })).to.deep.equal({ device_id: deviceId })
    expect(await alice.must('GET', BASE)).to.deep.equal({
      device_id: deviceId,
      device_data: body.device_data,
    })
    const messages = { [alice.userId]: { [deviceId]: { n: 1 } } }
    await bob.must('PUT', `${V3}/sendToDevice/m.type/txn`, { body: { messages } })
    const events = path`/${deviceId}/events`
    const first = await alice.must('POST', BASE + events, { body: {} })
    expect(first['events']).to.deep.equal([{ type: 'm.type', sender: bob.userId, content: { n: 1 } }])
    const next = await alice.must('POST', BASE + events, { body: { next_batch: first['next_batch']! } })
    expect(next['events']).to.deep.equal([])
    const other = await alice.request('POST', `${BASE}/OTHER/events`, { body: {} })
    expect([other.status, other.body['errcode']]).to.deep.equal([403, 'M_FORBIDDEN'])
    const { device_keys: _deviceKeys, ...withoutKeys } = body
    const bad = await alice.request('PUT', BASE, { body: withoutKeys })
    expect([bad.status, bad.body['errcode']]).to.deep.equal([400, 'M_MISSING_PARAM'])
    expect(await alice.must('DELETE', BASE)).to.deep.equal({ device_id: deviceId })
    expect((await alice.request('DELETE', BASE)).status).to.equal(404)
  })
})
