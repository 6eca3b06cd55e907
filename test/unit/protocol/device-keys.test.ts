import { expect } from 'chai'
import {
  checkSignature,
  checkSignatures,
  identityKeyOf,
  isSameKey,
  parseDeviceKeys,
  parseOneTimeKeys,
} from '../../../src/protocol/device-keys.js'
import type { DeviceId, UserId } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'
import { EncryptingDevice } from '../../support/encryption.js'

const ALICE = { userId: '@alice:hs.test' as UserId, deviceId: 'DEVICE' as DeviceId }

describe('device keys', () => {
  const device = new EncryptingDevice(ALICE)

  it('are taken as they are, without what is not signed', () => {
    const keys = { ...device.deviceKeys, valid_until_ts: 1, unsigned: { a: 1 } }
    expect(parseDeviceKeys(keys, ALICE)).to.deep.equal({ ...device.deviceKeys, valid_until_ts: 1 })
  })

  it('need all that the specification asks for', () => {
    for (const name of ['user_id', 'device_id', 'algorithms', 'keys', 'signatures']) {
      for (const value of [undefined, 1, null, [1]]) {
        const keys = { ...device.deviceKeys, [name]: value } as JsonObject
        expect(() => parseDeviceKeys(keys, ALICE), name)
          .to.throw()
          .with.property('errcode', 'M_BAD_JSON')
      }
    }
  })

  it('name the keys of the device', () => {
    expect(identityKeyOf(device.deviceKeys, 'ed25519', 'DEVICE')).to.equal(device.key.publicKey)
    expect(identityKeyOf(device.deviceKeys, 'ed25519', 'OTHER')).to.equal(undefined)
    expect(identityKeyOf({ keys: { 'ed25519:__proto__': 1 } }, 'ed25519', '__proto__')).to.equal(undefined)
  })

  it('are signed by the device, by somebody else or by nobody', async () => {
    const signer = { userId: ALICE.userId, keyId: 'ed25519:DEVICE', key: device.key.publicKey }
    expect(await checkSignature(device.deviceKeys, signer)).to.equal('valid')
    expect(await checkSignature({ ...device.deviceKeys, unsigned: {} }, signer)).to.equal('valid')
    expect(await checkSignature({ ...device.deviceKeys, more: 1 }, signer)).to.equal('invalid')
    const others = new EncryptingDevice(ALICE)
    expect(await checkSignature(others.deviceKeys, signer)).to.equal('invalid')
    expect(await checkSignature({ ...device.deviceKeys, signatures: {} }, signer)).to.equal('absent')
    expect(await checkSignature(device.deviceKeys, { ...signer, key: 'AAAA' })).to.equal('invalid')
    const several = [device.deviceKeys, { ...device.deviceKeys, signatures: {} }, others.deviceKeys]
    expect(await checkSignatures(several, signer)).to.deep.equal(['valid', 'absent', 'invalid'])
    expect(await checkSignatures([], signer)).to.deep.equal([])
  })
})

describe('one-time keys', () => {
  it('are named by algorithm and ID', () => {
    const key = { key: 'text', signatures: {} }
    expect(parseOneTimeKeys({ 'signed_curve25519:AAAA': key, 'curve25519:a:b': 'text' })).to.deep.equal([
      { algorithm: 'signed_curve25519', keyId: 'AAAA', key },
      { algorithm: 'curve25519', keyId: 'a:b', key: 'text' },
    ])
  })

  it('are texts or objects with a key', () => {
    for (const key of [
      1,
      null,
      [],
      {},
      { key: 1 },
      { key: 'a', signatures: 1 },
      { key: 'a', signatures: { a: 1 } },
    ]) {
      const keys = { 'signed_curve25519:AAAA': key } as JsonObject
      expect(() => parseOneTimeKeys(keys))
        .to.throw()
        .with.property('errcode', 'M_BAD_JSON')
    }
    const long = { 'curve25519:a': 'x'.repeat(10_001) }
    expect(() => parseOneTimeKeys(long))
      .to.throw()
      .with.property('errcode', 'M_TOO_LARGE')
    const name = { [`curve25519:${'x'.repeat(255)}`]: 'text' }
    expect(() => parseOneTimeKeys(name))
      .to.throw()
      .with.property('errcode', 'M_INVALID_PARAM')
  })

  it('are the same whatever their signatures', () => {
    expect(isSameKey('a', 'a')).to.equal(true)
    expect(isSameKey('a', 'b')).to.equal(false)
    expect(isSameKey('a', { key: 'a' })).to.equal(false)
    expect(isSameKey({ key: 'a', signatures: { a: {} } }, { signatures: {}, key: 'a' })).to.equal(true)
    expect(isSameKey({ key: 'a' }, { key: 'a', fallback: true })).to.equal(false)
  })
})
