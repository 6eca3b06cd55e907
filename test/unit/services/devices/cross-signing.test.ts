import { expect } from 'chai'
import type { DeviceId } from '../../../../src/protocol/ids.js'
import type { JsonObject } from '../../../../src/util/json.js'
import type { TestSession } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { CrossSigningIdentity, EncryptingDevice } from '../../../support/encryption.js'
import { createKeyServices, type KeyFixture } from '../../../support/key-services.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('cross-signing', (open) => {
  let fixture: KeyFixture
  let alice: TestSession
  let identity: CrossSigningIdentity

  beforeEach(async () => {
    fixture = await createKeyServices(await open())
    alice = await fixture.accounts.createUser('alice')
    identity = new CrossSigningIdentity(alice.userId)
  })

  const check = (of: CrossSigningIdentity, pick: readonly ('master' | 'self' | 'user')[]) =>
    fixture.crossSigning.check(alice.userId, {
      master: pick.includes('master') ? of.masterKey : undefined,
      self_signing: pick.includes('self') ? of.selfSigningKey : undefined,
      user_signing: pick.includes('user') ? of.userSigningKey : undefined,
    })

  async function publish(of = identity): Promise<void> {
    await fixture.crossSigning.store(alice.userId, await check(of, ['master', 'self', 'user']))
  }

  async function published(viewer = alice.userId): Promise<JsonObject> {
    const answer = await fixture.keyQueries.query(viewer, { [alice.userId]: [] })
    return Object.fromEntries(
      ['master_keys', 'self_signing_keys', 'user_signing_keys'].flatMap((name) => {
        const ofUser = (answer[name] as JsonObject)[alice.userId]
        return ofUser === undefined ? [] : [[name, ofUser]]
      }),
    )
  }

  it('begins without a proof, and needs one for every change', async () => {
    const first = await check(identity, ['master', 'self', 'user'])
    expect(first.needsProof).to.equal(false)
    await fixture.crossSigning.store(alice.userId, first)
    const again = await check(identity, ['master', 'self', 'user'])
    expect(again).to.include({ needsProof: false }).and.to.have.property('keys').that.is.empty
    expect((await check(new CrossSigningIdentity(alice.userId), ['master'])).needsProof).to.equal(true)
    expect((await check(identity, [])).needsProof).to.equal(true)
    expect(await fixture.crossSigning.isSetUp(fixture.db.reader, alice.userId)).to.equal(true)
  })

  it('needs no proof for a while where an administrator says so', async () => {
    const other = new CrossSigningIdentity(alice.userId)
    const needsProof = async () => (await check(other, ['master'])).needsProof
    const early = await rejection(fixture.crossSigning.allowReplacement(alice.userId))
    expect(early).to.have.property('errcode', 'M_NOT_FOUND')
    await publish()
    const untilTs = await fixture.crossSigning.allowReplacement(alice.userId)
    expect(untilTs - fixture.accounts.clock.now()).to.equal(10 * 60_000)
    expect(await needsProof()).to.equal(false)
    fixture.accounts.clock.advance(10 * 60_000)
    expect(await needsProof()).to.equal(true)
    await fixture.crossSigning.allowReplacement(alice.userId)
    await fixture.crossSigning.store(alice.userId, await check(other, ['master']))
    expect((await check(identity, ['master'])).needsProof).to.equal(true)
  })

  it('needs a proof for a key that is added', async () => {
    await fixture.crossSigning.store(alice.userId, await check(identity, ['master']))
    expect((await check(identity, ['master', 'self'])).needsProof).to.equal(true)
    expect((await check(identity, ['self'])).needsProof).to.equal(true)
  })

  it('needs a master key', async () => {
    const error = await rejection(check(identity, []))
    expect(error).to.include({ errcode: 'M_MISSING_PARAM', status: 400 })
    expect(await rejection(check(identity, ['self']))).to.have.property('errcode', 'M_MISSING_PARAM')
  })

  it('shows a user’s keys to all but the one that says whom they have verified', async () => {
    await publish()
    expect(await published()).to.deep.equal({
      master_keys: identity.masterKey,
      self_signing_keys: identity.selfSigningKey,
      user_signing_keys: identity.userSigningKey,
    })
    const bob = await fixture.accounts.createUser('bob')
    expect(await published(bob.userId)).to.have.all.keys('master_keys', 'self_signing_keys')
    expect(fixture.accounts.positions).to.deep.include({
      stream: 'device_lists',
      hints: { users: [alice.userId] },
    })
  })

  it('refuses keys that the master key has not signed', async () => {
    await publish()
    const other = new CrossSigningIdentity(alice.userId)
    for (const pick of [['self'], ['user']] as const) {
      expect(await rejection(check(other, pick))).to.include({ errcode: 'M_INVALID_SIGNATURE', status: 400 })
    }
    const { signatures: _signatures, ...unsigned } = other.selfSigningKey
    const upload = { master: other.masterKey, self_signing: unsigned }
    expect(await rejection(fixture.crossSigning.check(alice.userId, upload))).to.have.property(
      'errcode',
      'M_INVALID_SIGNATURE',
    )
  })

  it('refuses what is no such key', async () => {
    const { masterKey } = identity
    const cases: [JsonObject, string][] = [
      [{ ...masterKey, user_id: '@bob:hs.test' }, 'M_INVALID_PARAM'],
      [{ ...masterKey, usage: ['self_signing'] }, 'M_INVALID_PARAM'],
      [{ ...masterKey, usage: 'master' }, 'M_BAD_JSON'],
      [{ ...masterKey, keys: {} }, 'M_INVALID_PARAM'],
      [{ ...masterKey, keys: { 'ed25519:a': 'b' } }, 'M_INVALID_PARAM'],
      [{ ...masterKey, keys: { 'ed25519:AAAA': 'AAAA' } }, 'M_INVALID_PARAM'],
      [{ ...masterKey, keys: { a: 1 } }, 'M_BAD_JSON'],
      [{ ...masterKey, signatures: [] }, 'M_BAD_JSON'],
    ]
    for (const [master, errcode] of cases) {
      const error = await rejection(fixture.crossSigning.check(alice.userId, { master }))
      expect(error, JSON.stringify(master)).to.have.property('errcode', errcode)
    }
  })

  it('refuses a key with the name of a device', async () => {
    const deviceId = identity.master.publicKey as DeviceId
    await fixture.accounts.services.devices.create(alice.userId, deviceId, undefined)
    expect(await rejection(check(identity, ['master']))).to.include({ errcode: 'M_FORBIDDEN', status: 403 })
  })

  it('refuses keys when others have come in the meantime', async () => {
    const early = await check(identity, ['master', 'self', 'user'])
    await publish(new CrossSigningIdentity(alice.userId))
    expect(await rejection(fixture.crossSigning.store(alice.userId, early))).to.have.property(
      'errcode',
      'M_FORBIDDEN',
    )
  })

  it('ends the other keys and all signatures when the master key changes', async () => {
    const device = new EncryptingDevice(alice)
    await fixture.e2eKeys.upload(alice, { deviceKeys: device.deviceKeys })
    await publish()
    await fixture.keySignatures.upload(alice.userId, {
      [alice.userId]: {
        [alice.deviceId]: identity.selfSigning.sign(device.deviceKeys, alice.userId),
        [identity.master.publicKey]: device.sign(identity.masterKey),
      },
    })
    const signatures = () => fixture.db.reader.all('SELECT * FROM key_signatures')
    expect(await signatures()).to.have.length(2)
    const next = new CrossSigningIdentity(alice.userId)
    await fixture.crossSigning.store(alice.userId, await check(next, ['master']))
    expect(await published()).to.deep.equal({ master_keys: next.masterKey })
    expect(await signatures()).to.deep.equal([])
  })

  it('goes with the account', async () => {
    await publish()
    await fixture.accounts.services.accountDeactivation.deactivate(alice.userId, { erase: false })
    expect(await published()).to.deep.equal({})
  })
})
