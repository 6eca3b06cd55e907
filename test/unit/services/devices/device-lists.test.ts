import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import { DeviceLists } from '../../../../src/services/devices/device-lists.js'
import { DevicesStore } from '../../../../src/storage/stores/devices.js'
import { forEachDatabase } from '../../../support/databases.js'

const [alice, bob, carol] = ['@alice:hs.test', '@bob:hs.test', '@carol:hs.test'] as UserId[] as [
  UserId,
  UserId,
  UserId,
]

forEachDatabase('DeviceLists', (open) => {
  for (const [title, base] of [
    ['short', 0],
    ['long', 1000],
  ] as const) {
    it(`says whose devices changed in a ${title} range`, async () => {
      const db = await open()
      const devices = new DevicesStore()
      await db.write('test', async (tx) => {
        await devices.recordChanges(tx, [{ userId: alice, deviceId: 'A', streamId: 5 }])
        await devices.recordChanges(tx, [{ userId: bob, deviceId: 'B', streamId: base + 6 }])
        await devices.recordChanges(tx, [{ userId: carol, deviceId: 'C', streamId: base + 7 }])
      })
      const lists = new DeviceLists(devices)
      const changed = (since: number, upTo: number) =>
        lists.changedUsers(db.reader, [alice, bob], { since, upTo })
      expect(await changed(5, base + 7)).to.deep.equal([bob])
      expect(await changed(0, base + 7)).to.have.members([alice, bob])
      expect(await changed(base + 6, base + 7)).to.deep.equal([])
      expect(await changed(base + 7, base + 7)).to.deep.equal([])
    })
  }
})
