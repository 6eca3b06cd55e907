import { expect } from 'chai'
import type { DeviceId, UserId } from '../../../../src/protocol/ids.js'
import { CrossSigningStore } from '../../../../src/storage/stores/cross-signing.js'
import { createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('devices', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
  })

  it('have a name that their user may change', async () => {
    const { userId, deviceId } = await fixture.createUser('alice')
    const { devices } = fixture.services
    await devices.rename(userId, deviceId, 'x'.repeat(100))
    expect((await devices.require(userId, deviceId)).displayName).to.equal('x'.repeat(100))
    const long = await rejection(devices.rename(userId, deviceId, 'x'.repeat(101)))
    expect(long).to.have.property('errcode', 'M_TOO_LARGE')
    const unknown = 'UNKNOWN' as DeviceId
    expect(await rejection(devices.rename(userId, unknown, 'x'))).to.have.property('errcode', 'M_NOT_FOUND')
    expect(await rejection(devices.require(userId, unknown))).to.have.property('errcode', 'M_NOT_FOUND')
  })

  it('go with their tokens, and those of others stay', async () => {
    const alice = await fixture.createUser('alice')
    const bob = await fixture.createUser('bob')
    await fixture.services.devices.delete(alice.userId, [alice.deviceId, bob.deviceId, 'UNKNOWN'])
    const client = { ip: '', userAgent: undefined }
    const { accessTokens } = fixture.services
    expect(await rejection(accessTokens.authenticate(alice.token, client))).to.have.property(
      'errcode',
      'M_UNKNOWN_TOKEN',
    )
    expect((await accessTokens.authenticate(bob.token, client)).deviceId).to.equal(bob.deviceId)
  })

  it('go when nobody has used them for long', async () => {
    const { clock, db } = fixture
    const [alice, bob] = [await fixture.createUser('alice'), await fixture.createUser('bob')]
    const carol = await fixture.createUser('carol')
    const seen = (userId: UserId, ts: number) =>
      db.write('seen', (tx) =>
        tx.execute('UPDATE devices SET last_seen_ts = ? WHERE user_id = ?', [ts, userId]),
      )
    const limit = clock.now()
    await seen(alice.userId, limit - 1)
    await seen(bob.userId, limit)
    const { accessTokens, devices } = fixture.services
    await devices.deleteStale(limit, new AbortController().signal)
    const left = await Promise.all([alice, bob, carol].map(({ userId }) => devices.list(userId)))
    // One that was never seen stays: it may be about to be used for the first time.
    expect(left.map((own) => own.length)).to.deep.equal([0, 1, 1])
    const refused = await rejection(accessTokens.authenticate(alice.token, { ip: '', userAgent: undefined }))
    expect(refused).to.have.property('errcode', 'M_UNKNOWN_TOKEN')
  })

  it('have no ID that is a cross-signing key of their user', async () => {
    const { userId } = await fixture.createUser('alice')
    const { userId: bob } = await fixture.createUser('bob')
    const { devices } = fixture.services
    const publicKey = 'yXBnLayG5x5imopx2+oOU6sh8WW7jVwq3fy7n9E7l/0'
    const json = { user_id: userId, usage: ['master'], keys: { [`ed25519:${publicKey}`]: publicKey } }
    await fixture.db.write('keys', (tx) =>
      new CrossSigningStore().set(tx, userId, [{ usage: 'master', publicKey, json }]),
    )
    const login = (whose: UserId) =>
      fixture.db.write('register', (tx) =>
        devices.register(tx, whose, { deviceId: publicKey, displayName: undefined }),
      )
    expect(await rejection(login(userId))).to.have.property('errcode', 'M_INVALID_PARAM')
    const made = devices.create(userId, publicKey as DeviceId, undefined)
    expect(await rejection(made)).to.have.property('errcode', 'M_INVALID_PARAM')
    expect(await devices.list(userId)).to.have.lengthOf(1)
    expect(await login(bob)).to.equal(publicKey)
  })

  it('tell the stream of device lists when they change', async () => {
    const { userId, deviceId } = await fixture.createUser('alice')
    const { userId: bob, deviceId: bobsDevice } = await fixture.createUser('bob')
    const store = fixture.stores.devices
    const changed = (from: number, to = 1_000_000) =>
      store.listChangedUsers(fixture.db.reader, [userId, bob], from, to)
    expect(await changed(0)).to.deep.equal(new Set([userId, bob]))
    const made = await store.getLastChange(fixture.db.reader, bob)
    expect(await changed(made)).to.deep.equal(new Set())
    // Somebody who logs in again with the device that they have brings nothing new.
    await fixture.db.write('register', (tx) =>
      fixture.services.devices.register(tx, bob, { deviceId: bobsDevice, displayName: undefined }),
    )
    expect(await changed(made)).to.deep.equal(new Set())
    await fixture.services.devices.rename(userId, deviceId, 'phone')
    expect(await changed(made)).to.deep.equal(new Set([userId]))
    expect(await store.listAllChangedUsers(fixture.db.reader, made, 1_000_000)).to.deep.equal(
      new Set([userId]),
    )
    const row = await fixture.db.reader.first<{ id: number }>(
      'SELECT MAX(stream_id) AS id FROM device_list_changes',
    )
    expect(await changed(row?.id ?? 0)).to.deep.equal(new Set())
    await fixture.services.devices.delete(userId, [deviceId])
    expect(await changed(row?.id ?? 0)).to.deep.equal(new Set([userId]))
    expect(fixture.positions).to.deep.include({ stream: 'device_lists', hints: { users: [userId] } })
  })

  it('are made without a login for application services', async () => {
    const { userId } = await fixture.createUser('alice')
    const deviceId = 'BRIDGE' as DeviceId
    expect(await fixture.services.devices.create(userId, deviceId, 'A bridge')).to.equal(true)
    expect(await fixture.services.devices.create(userId, deviceId, 'Another')).to.equal(false)
    expect((await fixture.services.devices.require(userId, deviceId)).displayName).to.equal('A bridge')
  })

  it('are deleted a thousand at once at most', async () => {
    const { userId } = await fixture.createUser('alice')
    const many = Array.from({ length: 1001 }, (_, index) => String(index))
    const error = await rejection(fixture.services.devices.delete(userId, many))
    expect(error).to.have.property('errcode', 'M_INVALID_PARAM')
  })
})

forEachDatabase('sightings of devices', (open) => {
  it('are written seconds later, once for many requests', async () => {
    const fixture = await createAccountServices(await open())
    const { userId, deviceId, requester } = await fixture.createUser('alice')
    await fixture.services.sightings.flush()
    const client = { ip: '10.0.0.1', userAgent: 'agent'.repeat(100) }
    let writes = 0
    const record = fixture.stores.clientIps.record.bind(fixture.stores.clientIps)
    fixture.stores.clientIps.record = (tx, sightings) => {
      writes += sightings.length
      return record(tx, sightings)
    }
    for (let i = 0; i < 10; i++) fixture.services.sightings.record(requester, client)
    expect(fixture.clock.pending).to.equal(1)
    await fixture.services.sightings.flush()
    fixture.services.sightings.record(requester, client)
    await fixture.services.sightings.flush()
    expect(writes).to.equal(1)
    fixture.clock.advance(120_000)
    fixture.services.sightings.record(requester, client)
    await fixture.services.sightings.flush()
    expect(writes).to.equal(2)
    const device = await fixture.services.devices.require(userId, deviceId)
    expect(device.lastSeenTs).to.equal(fixture.clock.now())
    expect(device.userAgent).to.have.length(256)
  })
})
