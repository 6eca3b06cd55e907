import { expect } from 'chai'
import type { DeviceId, UserId } from '../../../../src/protocol/ids.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import { DeviceInboxStore } from '../../../../src/storage/stores/device-inbox.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'

forEachDatabase('inboxes of devices', (open) => {
  it('are bounded: the oldest messages go', async () => {
    const db = await open()
    const inbox = new DeviceInboxStore(new CacheRegistry(createMetrics()))
    const sender = '@bob:hs.test' as UserId
    const full = { userId: '@alice:hs.test' as UserId, deviceId: 'FULL' as DeviceId }
    const other = { ...full, deviceId: 'OTHER' as DeviceId }
    const messages = [1, 2, 3, 4, 5].map((streamId) => ({
      ...full,
      streamId,
      sender,
      type: 'm.x',
      content: {},
    }))
    await db.write('test', (tx) =>
      inbox.insert(tx, [...messages, { ...other, streamId: 1, sender, type: 'm.x', content: {} }]),
    )
    expect(await db.write('test', (tx) => inbox.deleteExcess(tx, 3))).to.equal(2)
    expect(await db.write('test', (tx) => inbox.deleteExcess(tx, 3))).to.equal(0)
    const idsOf = async (address: typeof full): Promise<number[]> => {
      const left = await inbox.list(db.reader, address, { upTo: 100, limit: 100 })
      return left.map(({ streamId }) => streamId)
    }
    expect(await idsOf(full)).to.deep.equal([3, 4, 5])
    expect(await idsOf(other)).to.deep.equal([1])
  })
})
