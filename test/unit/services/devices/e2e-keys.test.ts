import { expect } from 'chai'
import { KeyClaims } from '../../../../src/services/devices/key-claims.js'
import { isJsonObject, type JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { EncryptingDevice } from '../../../support/encryption.js'
import { createKeyServices, type KeyFixture } from '../../../support/key-services.js'
import { dig } from '../../../support/matrix-client.js'
import { rejection } from '../../../support/rejection.js'
import { SERVER_NAME, type TestSession } from '../../../support/account-services.js'

forEachDatabase('keys of devices', (open) => {
  let fixture: KeyFixture
  let alice: TestSession
  let device: EncryptingDevice

  beforeEach(async () => {
    fixture = await createKeyServices(await open())
    alice = await fixture.accounts.createUser('alice')
    device = new EncryptingDevice(alice)
  })

  const changes = () => fixture.accounts.positions.filter(({ stream }) => stream === 'device_lists').length

  function claim(algorithm = 'signed_curve25519'): Promise<JsonObject> {
    return fixture.keyClaims.claim({ [alice.userId]: { [alice.deviceId]: algorithm } })
  }

  it('are published, and tell others once for each change', async () => {
    const before = changes()
    const counts = await fixture.e2eKeys.upload(alice, {
      deviceKeys: device.deviceKeys,
      oneTimeKeys: device.oneTimeKeys(['a', 'b']),
    })
    expect(counts).to.deep.equal({ signed_curve25519: 2 })
    expect(changes()).to.equal(before + 1)
    await fixture.e2eKeys.upload(alice, { deviceKeys: device.deviceKeys })
    expect(changes()).to.equal(before + 1)
    await fixture.e2eKeys.upload(alice, { deviceKeys: new EncryptingDevice(alice).deviceKeys })
    expect(changes()).to.equal(before + 2)
  })

  it('may be uploaded again, but not another under the same name', async () => {
    const keys = device.oneTimeKeys(['a', 'b', 'c'])
    await fixture.e2eKeys.upload(alice, { deviceKeys: device.deviceKeys, oneTimeKeys: keys })
    const again = { ...keys, ...device.oneTimeKeys(['d']) }
    expect(await fixture.e2eKeys.upload(alice, { oneTimeKeys: again })).to.deep.equal({
      signed_curve25519: 4,
    })
    const other = device.oneTimeKeys(['e', 'a'])
    const error = await rejection(fixture.e2eKeys.upload(alice, { oneTimeKeys: other }))
    expect(error).to.include({ errcode: 'M_INVALID_PARAM', status: 400 })
    const { oneTimeKeys } = await fixture.e2eKeys.getCounts(fixture.db.reader, alice)
    expect(oneTimeKeys).to.deep.equal({ signed_curve25519: 4 })
  })

  it('are the same key whoever signs them anew', async () => {
    const key = { key: 'text' }
    const signedTwice = device.key.sign(device.sign(key), alice.userId, 'OTHER')
    await fixture.e2eKeys.upload(alice, {
      deviceKeys: device.deviceKeys,
      oneTimeKeys: { 'signed_curve25519:a': device.sign(key) },
    })
    await fixture.e2eKeys.upload(alice, { oneTimeKeys: { 'signed_curve25519:a': signedTwice } })
  })

  it('do not come back when an upload is repeated after a claim', async () => {
    const keys = device.oneTimeKeys(['a'])
    const upload = { deviceKeys: device.deviceKeys, oneTimeKeys: keys }
    await fixture.e2eKeys.upload(alice, upload)
    expect((await claim())['one_time_keys']).to.deep.equal({ [alice.userId]: { [alice.deviceId]: keys } })
    expect(await fixture.e2eKeys.upload(alice, upload)).to.deep.equal({ signed_curve25519: 0 })
    expect((await claim())['one_time_keys']).to.deep.equal({})
    const other = device.oneTimeKeys(['a'])
    await fixture.e2eKeys.upload(alice, { oneTimeKeys: other })
    expect((await claim())['one_time_keys']).to.deep.equal({ [alice.userId]: { [alice.deviceId]: other } })
  })

  it('are forgotten some time after they were claimed', async () => {
    await fixture.e2eKeys.upload(alice, { oneTimeKeys: device.oneTimeKeys(['a']) })
    await claim()
    const count = async () =>
      (await fixture.db.reader.first<{ n: number }>('SELECT COUNT(*) AS n FROM one_time_keys'))?.n
    await fixture.e2eKeys.upload(alice, { oneTimeKeys: device.oneTimeKeys(['b']) })
    expect(await count()).to.equal(2)
    fixture.accounts.clock.advance(8 * 24 * 60 * 60 * 1000)
    await fixture.e2eKeys.upload(alice, { oneTimeKeys: device.oneTimeKeys(['c']) })
    expect(await count()).to.equal(2)
  })

  it('are claimed in the order in which they were uploaded', async () => {
    for (const id of ['3', '1', '2']) {
      await fixture.e2eKeys.upload(alice, { oneTimeKeys: device.oneTimeKeys([id]) })
      fixture.accounts.clock.advance(1)
    }
    const ids: string[] = []
    for (let i = 0; i < 3; i++) {
      const byUser = (await claim())['one_time_keys'] as Record<string, Record<string, JsonObject>>
      ids.push(...Object.keys(byUser[alice.userId]?.[alice.deviceId] ?? {}))
    }
    expect(ids).to.deep.equal(['3', '1', '2'].map((id) => `signed_curve25519:${id}`))
  })

  it('are given to one caller each, however many ask at once', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `k${index}`)
    const fallback = device.oneTimeKeys(['f'], { fallback: true })
    await fixture.e2eKeys.upload(alice, { oneTimeKeys: device.oneTimeKeys(ids), fallbackKeys: fallback })
    const claims = await Promise.all(Array.from({ length: 300 }, () => claim()))
    const given = claims.flatMap((body) => {
      const byUser = body['one_time_keys'] as Record<string, Record<string, JsonObject>>
      return Object.keys(byUser[alice.userId]?.[alice.deviceId] ?? {})
    })
    expect(given).to.have.length(300)
    const oneTime = given.filter((name) => name !== 'signed_curve25519:f')
    expect(oneTime.sort()).to.deep.equal(ids.map((id) => `signed_curve25519:${id}`).sort())
  })

  it('are given to 100 of 10,000 callers who ask at the same time', async function () {
    this.timeout(120_000)
    const names = Array.from({ length: 100 }, (_, index) => `k${index}`)
    const oneTimeKeys = device.oneTimeKeys(names)
    await fixture.e2eKeys.upload(alice, { deviceKeys: device.deviceKeys, oneTimeKeys })
    const answers = await Promise.all(Array.from({ length: 10_000 }, () => claim()))
    const given = answers.flatMap((answer) => {
      const ofDevice = dig(answer, 'one_time_keys', alice.userId, alice.deviceId)
      return isJsonObject(ofDevice) ? Object.keys(ofDevice) : []
    })
    expect(given.toSorted()).to.deep.equal(Object.keys(oneTimeKeys).toSorted())
  })

  it('are given to one caller each by several processes, and after a restart', async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `k${index}`)
    await fixture.e2eKeys.upload(alice, { oneTimeKeys: device.oneTimeKeys(ids) })
    const processes = Array.from({ length: 4 }, () => {
      const { db, accounts } = fixture
      return new KeyClaims({
        db,
        clock: accounts.clock,
        e2eKeys: fixture.stores.e2eKeys,
        serverName: SERVER_NAME,
      })
    })
    const wish = { [alice.userId]: { [alice.deviceId]: 'signed_curve25519' } }
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, index) => processes[index % processes.length]!.claim(wish)),
    )
    const restarted = await createKeyServices(fixture.db)
    for (let i = 0; i < 8; i++) answers.push(await restarted.keyClaims.claim(wish))
    const given = answers.flatMap((body) => {
      const byUser = body['one_time_keys'] as Record<string, Record<string, JsonObject>>
      return Object.keys(byUser[alice.userId]?.[alice.deviceId] ?? {})
    })
    expect(given.sort()).to.deep.equal(ids.map((id) => `signed_curve25519:${id}`).sort())
  })

  it('give way to fallback keys, which stay until they are replaced', async () => {
    const first = device.oneTimeKeys(['f1'], { fallback: true })
    await fixture.e2eKeys.upload(alice, { fallbackKeys: first })
    const unused = async () => (await fixture.e2eKeys.getCounts(fixture.db.reader, alice)).unusedFallbackTypes
    expect(await unused()).to.deep.equal(['signed_curve25519'])
    for (let i = 0; i < 2; i++) {
      expect((await claim())['one_time_keys']).to.deep.equal({ [alice.userId]: { [alice.deviceId]: first } })
      expect(await unused()).to.deep.equal([])
    }
    await fixture.e2eKeys.upload(alice, { fallbackKeys: first })
    expect(await unused(), 'the same key again').to.deep.equal([])
    const second = device.oneTimeKeys(['f2'], { fallback: true })
    await fixture.e2eKeys.upload(alice, { fallbackKeys: second })
    expect(await unused()).to.deep.equal(['signed_curve25519'])
    expect((await claim())['one_time_keys']).to.deep.equal({ [alice.userId]: { [alice.deviceId]: second } })
  })

  it('are of the algorithm that is asked for', async () => {
    await fixture.e2eKeys.upload(alice, {
      oneTimeKeys: { 'curve25519:a': 'text', ...device.oneTimeKeys(['a']) },
    })
    expect(await claim('curve25519')).to.deep.equal({
      one_time_keys: { [alice.userId]: { [alice.deviceId]: { 'curve25519:a': 'text' } } },
      failures: {},
    })
    expect((await claim('curve25519'))['one_time_keys']).to.deep.equal({})
  })

  it('are published whatever a device signs of itself: whoever reads them has to check that', async () => {
    const forged = { ...device.deviceKeys, algorithms: ['m.other'] }
    const none = { ...forged, keys: { [`ed25519:${alice.deviceId}`]: 'no key' } }
    for (const deviceKeys of [forged, none]) {
      await fixture.e2eKeys.upload(alice, { deviceKeys })
      const stored = await fixture.stores.e2eKeys.getDeviceKeys(fixture.db.reader, alice)
      expect(stored).to.deep.equal(deviceKeys)
    }
  })

  it('are refused when the signature of a one-time key is wrong', async () => {
    await fixture.e2eKeys.upload(alice, { deviceKeys: device.deviceKeys })
    const other = new EncryptingDevice(alice).oneTimeKeys(['a'])
    const error = await rejection(fixture.e2eKeys.upload(alice, { oneTimeKeys: other }))
    expect(error).to.have.property('errcode', 'M_INVALID_SIGNATURE')
  })

  it('are refused when they are somebody else’s, or none', async () => {
    const { signatures: _signatures, ...unsigned } = device.deviceKeys
    const cases: [JsonObject, string][] = [
      [{ ...device.deviceKeys, user_id: '@bob:hs.test' }, 'M_INVALID_PARAM'],
      [{ ...device.deviceKeys, device_id: 'OTHER' }, 'M_INVALID_PARAM'],
      [unsigned, 'M_BAD_JSON'],
      [{ user_id: alice.userId, device_id: alice.deviceId }, 'M_BAD_JSON'],
      [{ ...device.deviceKeys, padding: 'x'.repeat(60_000) }, 'M_TOO_LARGE'],
    ]
    for (const [deviceKeys, errcode] of cases) {
      const error = await rejection(fixture.e2eKeys.upload(alice, { deviceKeys }))
      expect(error).to.have.property('errcode', errcode)
    }
    const twoOfAKind = device.oneTimeKeys(['a', 'b'])
    expect(await rejection(fixture.e2eKeys.upload(alice, { fallbackKeys: twoOfAKind }))).to.have.property(
      'errcode',
      'M_INVALID_PARAM',
    )
    for (const name of ['signed_curve25519', ':a', 'a:']) {
      const error = await rejection(fixture.e2eKeys.upload(alice, { oneTimeKeys: { [name]: 'text' } }))
      expect(error).to.have.property('errcode', 'M_INVALID_PARAM')
    }
  })

  it('end with the identity that they belong to', async () => {
    await fixture.e2eKeys.upload(alice, {
      deviceKeys: device.deviceKeys,
      oneTimeKeys: device.oneTimeKeys(['a']),
    })
    const renewed = new EncryptingDevice(alice)
    expect(await fixture.e2eKeys.upload(alice, { deviceKeys: renewed.deviceKeys })).to.deep.equal({
      signed_curve25519: 0,
    })
  })

  it('go with their device', async () => {
    await fixture.e2eKeys.upload(alice, {
      deviceKeys: device.deviceKeys,
      oneTimeKeys: device.oneTimeKeys(['a']),
      fallbackKeys: device.oneTimeKeys(['f'], { fallback: true }),
    })
    await fixture.accounts.services.devices.delete(alice.userId, [alice.deviceId])
    expect((await claim())['one_time_keys']).to.deep.equal({})
    const query = await fixture.keyQueries.query(alice.userId, { [alice.userId]: [] })
    expect(query['device_keys']).to.deep.equal({ [alice.userId]: {} })
    for (const table of ['device_keys', 'one_time_keys', 'fallback_keys']) {
      expect(await fixture.db.reader.all(`SELECT * FROM ${table}`), table).to.deep.equal([])
    }
    const late = await rejection(fixture.e2eKeys.upload(alice, { deviceKeys: device.deviceKeys }))
    expect(late).to.have.property('errcode', 'M_FORBIDDEN')
  })
})
