import { expect } from 'chai'
import type { CrossSigningRequest } from '../../../../src/services/devices/cross-signing.js'
import type { JsonObject } from '../../../../src/util/json.js'
import type { TestSession } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { CrossSigningIdentity, EncryptingDevice } from '../../../support/encryption.js'
import { createKeyServices, type KeyFixture } from '../../../support/key-services.js'
import { rejection } from '../../../support/rejection.js'

/** A user with a device and cross-signing keys. */
interface Person extends TestSession {
  readonly device: EncryptingDevice
  readonly identity: CrossSigningIdentity
}

forEachDatabase('signatures of keys', (open) => {
  let fixture: KeyFixture
  let alice: Person
  let bob: Person

  beforeEach(async () => {
    fixture = await createKeyServices(await open())
    alice = await createPerson('alice')
    bob = await createPerson('bob')
  })

  async function createPerson(localpart: string): Promise<Person> {
    const session = await fixture.accounts.createUser(localpart)
    const device = new EncryptingDevice(session)
    const identity = new CrossSigningIdentity(session.userId)
    await fixture.e2eKeys.upload(session, { deviceKeys: device.deviceKeys })
    const keys: CrossSigningRequest = {
      master: identity.masterKey,
      self_signing: identity.selfSigningKey,
      user_signing: identity.userSigningKey,
    }
    await fixture.crossSigning.store(session.userId, await fixture.crossSigning.check(session.userId, keys))
    return { ...session, device, identity }
  }

  /** The signatures of a user's device and master key, as somebody sees them. */
  async function seen(viewer: Person, owner: Person) {
    const answer = await fixture.keyQueries.query(viewer.userId, { [owner.userId]: [] })
    const devices = answer['device_keys'] as Record<string, Record<string, JsonObject>>
    const masters = answer['master_keys'] as Record<string, JsonObject>
    return {
      device: devices[owner.userId]?.[owner.deviceId]?.['signatures'],
      master: masters[owner.userId]?.['signatures'],
    }
  }

  const sign = (signer: Person, owner: Person, subject: string, json: JsonObject) =>
    fixture.keySignatures.upload(signer.userId, { [owner.userId]: { [subject]: json } })

  it('of the own device and master key are shown to everybody', async () => {
    const { device, identity, userId } = alice
    const signedDevice = identity.selfSigning.sign(device.deviceKeys, userId)
    const signedMaster = device.sign(identity.masterKey)
    const failures = await fixture.keySignatures.upload(userId, {
      [userId]: { [alice.deviceId]: signedDevice, [identity.master.publicKey]: signedMaster },
    })
    expect(failures).to.deep.equal({})
    const expected = { device: signedDevice['signatures'], master: signedMaster['signatures'] }
    expect(await seen(alice, alice)).to.deep.equal(expected)
    expect(await seen(bob, alice)).to.deep.equal(expected)
    expect(fixture.accounts.positions.at(-1)).to.deep.equal({
      stream: 'device_lists',
      hints: { users: [userId] },
    })
  })

  it('of somebody else are shown to those who made them only', async () => {
    const carol = await createPerson('carol')
    const signed = alice.identity.userSigning.sign(bob.identity.masterKey, alice.userId)
    expect(await sign(alice, bob, bob.identity.master.publicKey, signed)).to.deep.equal({})
    expect((await seen(alice, bob)).master).to.deep.equal(signed['signatures'])
    for (const viewer of [bob, carol]) expect((await seen(viewer, bob)).master).to.equal(undefined)
    const range = { after: 0, upTo: 1_000_000 }
    const changed = (person: Person) =>
      fixture.stores.crossSigning.listSigned(fixture.db.reader, person.userId, range)
    expect(await changed(alice)).to.deep.equal([bob.userId])
    expect(await changed(bob)).to.deep.equal([])
  })

  it('are refused one by one where they are wrong', async () => {
    const { device, identity, userId } = alice
    const master = identity.master.publicKey
    const cases: [Person, string, JsonObject, string][] = [
      [alice, 'UNKNOWN', device.deviceKeys, 'M_NOT_FOUND'],
      [alice, alice.deviceId, device.deviceKeys, 'M_INVALID_SIGNATURE'],
      [alice, alice.deviceId, identity.master.sign(device.deviceKeys, userId), 'M_INVALID_SIGNATURE'],
      [
        alice,
        alice.deviceId,
        identity.selfSigning.sign({ ...device.deviceKeys, algorithms: [] }, userId),
        'M_INVALID_PARAM',
      ],
      [alice, master, identity.masterKey, 'M_INVALID_SIGNATURE'],
      [alice, master, bob.device.key.sign(identity.masterKey, userId, alice.deviceId), 'M_INVALID_SIGNATURE'],
      [bob, bob.deviceId, identity.userSigning.sign(bob.device.deviceKeys, userId), 'M_NOT_FOUND'],
      [
        bob,
        bob.identity.master.publicKey,
        identity.selfSigning.sign(bob.identity.masterKey, userId),
        'M_INVALID_SIGNATURE',
      ],
    ]
    for (const [owner, subject, json, errcode] of cases) {
      const failures = (await sign(alice, owner, subject, json)) as Record<string, Record<string, JsonObject>>
      expect(failures[owner.userId]?.[subject], subject).to.include({ errcode })
      expect(failures[owner.userId]?.[subject]?.['error']).to.be.a('string')
    }
    expect(await fixture.db.reader.all('SELECT * FROM key_signatures')).to.deep.equal([])
    const right = identity.selfSigning.sign(device.deviceKeys, userId)
    const failures = await fixture.keySignatures.upload(userId, {
      [userId]: { [alice.deviceId]: right, UNKNOWN: right },
    })
    expect(failures).to.have.nested.property(`${userId.replace('.', '\\.')}.UNKNOWN.errcode`, 'M_NOT_FOUND')
    expect(await fixture.db.reader.all('SELECT * FROM key_signatures')).to.have.length(1)
  })

  it('are refused when the request is none', async () => {
    for (const [request, errcode] of [
      [{ bob: {} }, 'M_INVALID_PARAM'],
      [{ [bob.userId]: [] }, 'M_BAD_JSON'],
      [{ [bob.userId]: { a: 'text' } }, 'M_BAD_JSON'],
    ] as const) {
      const error = await rejection(fixture.keySignatures.upload(alice.userId, request as JsonObject))
      expect(error).to.have.property('errcode', errcode)
    }
  })

  it('go with the device', async () => {
    const { device, identity, userId, deviceId } = alice
    await fixture.keySignatures.upload(userId, {
      [userId]: {
        [deviceId]: identity.selfSigning.sign(device.deviceKeys, userId),
        [identity.master.publicKey]: device.sign(identity.masterKey),
      },
    })
    await fixture.accounts.services.devices.delete(userId, [deviceId])
    expect(await fixture.db.reader.all('SELECT * FROM key_signatures')).to.deep.equal([])
  })
})
