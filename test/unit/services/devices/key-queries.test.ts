import { expect } from 'chai'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { EncryptingDevice } from '../../../support/encryption.js'
import { createKeyServices, type KeyFixture } from '../../../support/key-services.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('queries for keys', (open) => {
  let fixture: KeyFixture

  beforeEach(async () => {
    fixture = await createKeyServices(await open())
  })

  it('give all devices or some, with the names that their users gave them', async () => {
    const alice = await fixture.accounts.createUser('alice')
    const device = new EncryptingDevice(alice)
    await fixture.e2eKeys.upload(alice, { deviceKeys: { ...device.deviceKeys, unsigned: { forged: true } } })
    const query = async (deviceIds: string[]) =>
      (await fixture.keyQueries.query(alice.userId, { [alice.userId]: deviceIds }))['device_keys']
    const bare = { [alice.userId]: { [alice.deviceId]: { ...device.deviceKeys, unsigned: {} } } }
    expect(await query([])).to.deep.equal(bare)
    expect(await query([alice.deviceId, 'OTHER'])).to.deep.equal(bare)
    expect(await query(['OTHER'])).to.deep.equal({ [alice.userId]: {} })
    await fixture.accounts.services.devices.rename(alice.userId, alice.deviceId, 'Phone')
    expect(await query([])).to.deep.equal({
      [alice.userId]: {
        [alice.deviceId]: { ...device.deviceKeys, unsigned: { device_display_name: 'Phone' } },
      },
    })
  })

  it('name the servers that cannot be asked', async () => {
    const alice = await fixture.accounts.createUser('alice')
    const answer = await fixture.keyQueries.query(alice.userId, {
      '@bob:elsewhere.test': [],
      '@carol:elsewhere.test': ['X'],
      '@nobody:hs.test': [],
    })
    expect(answer['device_keys']).to.deep.equal({ '@nobody:hs.test': {} })
    expect(answer['failures']).to.have.all.keys('elsewhere.test')
    const claimed = await fixture.keyClaims.claim({ '@bob:elsewhere.test': { X: 'signed_curve25519' } })
    expect(claimed['one_time_keys']).to.deep.equal({})
    expect(claimed['failures']).to.have.all.keys('elsewhere.test')
  })

  it('are refused when they are none', async () => {
    const alice = await fixture.accounts.createUser('alice')
    for (const [query, errcode] of [
      [{ [alice.userId]: { DEVICE: true } }, 'M_BAD_JSON'],
      [{ [alice.userId]: [1] }, 'M_BAD_JSON'],
      [{ [alice.userId]: null }, 'M_BAD_JSON'],
      [{ alice: [] }, 'M_INVALID_PARAM'],
    ] as const) {
      const error = await rejection(fixture.keyQueries.query(alice.userId, query as unknown as JsonObject))
      expect(error).to.have.property('errcode', errcode)
    }
    for (const [wanted, errcode] of [
      [{ [alice.userId]: ['DEVICE'] }, 'M_BAD_JSON'],
      [{ [alice.userId]: { DEVICE: {} } }, 'M_BAD_JSON'],
      [{ alice: {} }, 'M_INVALID_PARAM'],
    ] as const) {
      const error = await rejection(fixture.keyClaims.claim(wanted as unknown as JsonObject))
      expect(error).to.have.property('errcode', errcode)
    }
  })

  it('take the same number of statements for many users', async () => {
    const users: JsonObject = {}
    for (let n = 0; n < 20; n++) {
      const session = await fixture.accounts.createUser(`user${n}`)
      await fixture.e2eKeys.upload(session, { deviceKeys: new EncryptingDevice(session).deviceKeys })
      users[session.userId] = []
    }
    const [viewer] = Object.keys(users)
    let statements = 0
    const read = fixture.db.read.bind(fixture.db)
    fixture.db.read = (name, fn) =>
      read(name, (q) =>
        fn(
          new Proxy(q, {
            get(target, property) {
              if (property === 'all' || property === 'first') statements += 1
              const value: unknown = Reflect.get(target, property)
              return typeof value === 'function' ? (value.bind(target) as unknown) : value
            },
          }),
        ),
      )
    const answer = await fixture.keyQueries.query(viewer as never, users)
    expect(Object.keys(answer['device_keys'] as JsonObject)).to.have.length(20)
    expect(statements).to.equal(3)
  })
})
