import { expect } from 'chai'
import type { DeviceId } from '../../../../src/protocol/ids.js'
import type { TestSession } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { EncryptingDevice } from '../../../support/encryption.js'
import { createKeyServices, type KeyFixture } from '../../../support/key-services.js'
import { rejection } from '../../../support/rejection.js'

const DATA = { algorithm: 'org.matrix.msc3814.v2', device_pickle: 'secret' }

forEachDatabase('dehydrated devices', (open) => {
  let fixture: KeyFixture
  let alice: TestSession

  beforeEach(async () => {
    fixture = await createKeyServices(await open())
    alice = await fixture.accounts.createUser('alice')
  })

  async function put(id: string): Promise<void> {
    const deviceId = id as DeviceId
    const device = new EncryptingDevice({ userId: alice.userId, deviceId })
    await fixture.dehydratedDevices.put(alice.userId, {
      deviceId,
      data: DATA,
      displayName: 'Put away',
      keys: { deviceKeys: device.deviceKeys, oneTimeKeys: device.oneTimeKeys([`${id}1`]) },
    })
  }

  const deviceIds = async () =>
    (await fixture.accounts.services.devices.list(alice.userId)).map(({ deviceId }) => deviceId)

  it('are one at most, with keys that others see', async () => {
    const { userId } = alice
    expect(await rejection(fixture.dehydratedDevices.get(userId))).to.have.property('errcode', 'M_NOT_FOUND')
    await put('FIRST')
    await put('SECOND')
    expect(await fixture.dehydratedDevices.get(userId)).to.deep.equal({ deviceId: 'SECOND', data: DATA })
    expect(await deviceIds()).to.have.members([alice.deviceId, 'SECOND'])
    const query = await fixture.keyQueries.query(userId, { [userId]: [] })
    expect(query['device_keys']).to.have.property(userId).that.has.all.keys('SECOND')
    const claimed = await fixture.keyClaims.claim({ [userId]: { SECOND: 'signed_curve25519' } })
    expect(claimed['one_time_keys']).to.have.property(userId)
    await put('SECOND')
    expect(await deviceIds()).to.have.members([alice.deviceId, 'SECOND'])
  })

  it('cannot take the place of a device that is in use', async () => {
    const error = await rejection(put(alice.deviceId))
    expect(error).to.have.property('errcode', 'M_INVALID_PARAM')
    expect(await rejection(fixture.dehydratedDevices.get(alice.userId))).to.have.property(
      'errcode',
      'M_NOT_FOUND',
    )
  })

  it('are put away with their keys or not at all', async () => {
    const other = new EncryptingDevice({ userId: alice.userId, deviceId: 'OTHER' })
    const upload = { deviceId: 'ID' as DeviceId, data: DATA, displayName: undefined }
    const keys = { deviceKeys: other.deviceKeys }
    const error = await rejection(fixture.dehydratedDevices.put(alice.userId, { ...upload, keys }))
    expect(error).to.have.property('errcode', 'M_INVALID_PARAM')
    expect(await deviceIds()).to.deep.equal([alice.deviceId])
  })

  it('keep their messages however often those are read', async () => {
    await put('ID')
    const { userId } = alice
    for (let n = 0; n < 130; n++) {
      await fixture.toDevice.deliver(userId, 'm.type', new Map([[userId, new Map([['ID', { n }]])]]))
    }
    const list = (from?: string) => fixture.dehydratedDevices.listEvents(userId, 'ID' as DeviceId, from)
    for (let time = 0; time < 2; time++) {
      const first = await list()
      expect(first.events).to.have.length(100)
      const second = await list(first.nextBatch)
      expect(second.events.map(({ content }) => content)).to.deep.equal(
        Array.from({ length: 30 }, (_, index) => ({ n: 100 + index })),
      )
      expect((await list(second.nextBatch)).events).to.deep.equal([])
    }
    const other = await rejection(fixture.dehydratedDevices.listEvents(userId, alice.deviceId, undefined))
    expect(other).to.include({ errcode: 'M_FORBIDDEN', status: 403 })
    expect(await rejection(list('nonsense'))).to.have.property('errcode', 'M_INVALID_PARAM')
  })

  it('can be deleted, as such or as a device', async () => {
    await put('ID')
    expect(await fixture.dehydratedDevices.delete(alice.userId)).to.equal('ID')
    expect(await deviceIds()).to.deep.equal([alice.deviceId])
    const gone = await rejection(fixture.dehydratedDevices.delete(alice.userId))
    expect(gone).to.have.property('errcode', 'M_NOT_FOUND')
    await put('AGAIN')
    await fixture.accounts.services.devices.delete(alice.userId, ['AGAIN'])
    expect(await rejection(fixture.dehydratedDevices.get(alice.userId))).to.have.property(
      'errcode',
      'M_NOT_FOUND',
    )
  })
})
