import { expect } from 'chai'
import type { DeviceId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import type { Database } from '../../../../src/storage/database.js'
import { DestinationsStore } from '../../../../src/storage/stores/destinations.js'
import { FederationOutboxStore } from '../../../../src/storage/stores/federation-outbox.js'
import { FederationPositionsStore } from '../../../../src/storage/stores/federation-positions.js'
import { ReceivedToDeviceStore } from '../../../../src/storage/stores/received-to-device.js'
import { forEachDatabase } from '../../../support/databases.js'

const B = 'b.test' as ServerName
const C = 'c.test' as ServerName
const ALICE = '@alice:a.test' as UserId
const BOB = '@bob:a.test' as UserId
const PHONE = 'PHONE' as DeviceId
const LAPTOP = 'LAPTOP' as DeviceId
const SIGNING = '' as DeviceId

forEachDatabase('FederationOutboxStore', (open) => {
  let db: Database
  const store = new FederationOutboxStore()
  beforeEach(async () => {
    db = await open()
  })

  const edu = (destination: ServerName, eduId: number) => ({
    destination,
    eduId,
    type: 'm.direct_to_device',
    content: { n: eduId },
  })
  const ids = async (destination: ServerName): Promise<number[]> =>
    (await store.listEdus(db.reader, destination, 100)).map(({ eduId }) => eduId)
  const change = (destination: ServerName, deviceId: DeviceId, streamId: number) => ({
    destination,
    userId: ALICE,
    deviceId,
    streamId,
  })

  it('keeps EDUs in order until they are acknowledged, too old or too many', async () => {
    await db.write('test', async (tx) => {
      await store.insertEdus(tx, [edu(B, 2), edu(B, 1), edu(C, 3)], 100)
      await store.insertEdus(tx, [edu(B, 4), edu(B, 5)], 200)
    })
    expect(await store.listEdus(db.reader, B, 1)).to.deep.equal([edu(B, 1)])
    await db.write('test', (tx) => store.deleteEdus(tx, B, [1]))
    expect(await ids(B)).to.deep.equal([2, 4, 5])
    await db.write('test', (tx) => store.trim(tx, [B, C], 2))
    expect(await ids(B)).to.deep.equal([4, 5])
    expect(await ids(C)).to.deep.equal([3])
    await db.write('test', (tx) => store.deleteOldEdus(tx, 200))
    expect(await store.listDestinations(db.reader)).to.deep.equal([B])
  })

  it('keeps the last change of each device, and what each destination was last told', async () => {
    await db.write('test', (tx) =>
      store.putDeviceChanges(tx, [change(B, PHONE, 5), change(B, SIGNING, 6), change(C, PHONE, 5)]),
    )
    await db.write('test', (tx) => store.putDeviceChanges(tx, [change(B, LAPTOP, 7), change(B, PHONE, 8)]))
    const changes = await store.listDeviceChanges(db.reader, B, 10)
    expect(changes).to.deep.equal([change(B, SIGNING, 6), change(B, LAPTOP, 7), change(B, PHONE, 8)])
    // It has changed again while it was told.
    await db.write('test', (tx) => store.putDeviceChanges(tx, [change(B, LAPTOP, 9)]))
    await db.write('test', (tx) => store.markDeviceChangesSent(tx, B, changes))
    expect(await store.listDeviceChanges(db.reader, B, 10)).to.deep.equal([change(B, LAPTOP, 9)])
    expect([...(await store.listDeviceListsSent(db.reader, B, [ALICE]))]).to.deep.equal([[ALICE, 8]])
    expect((await store.listDeviceListsSent(db.reader, C, [ALICE])).size).to.equal(0)
  })

  it('folds the changes for destinations that are away for long, so that they fetch the lists anew', async () => {
    const failing = (serverName: ServerName, failingSinceTs: number) => ({
      ...{ serverName, failures: 1, failingSinceTs, lastFailedTs: 500, retryAtTs: 600, lastError: '' },
    })
    await db.write('test', async (tx) => {
      await new DestinationsStore().put(tx, [failing(B, 100), failing(C, 400)])
      for (const destination of [B, C]) {
        await store.markDeviceListFetched(tx, destination, ALICE, 1)
        await store.markDeviceListFetched(tx, destination, BOB, 1)
        await store.putDeviceChanges(tx, [
          ...[change(destination, PHONE, 5), change(destination, SIGNING, 6), change(destination, LAPTOP, 7)],
          { ...change(destination, PHONE, 8), userId: BOB },
        ])
      }
      await store.foldDeviceChanges(tx, 300)
    })
    const waiting = async (destination: ServerName): Promise<number[]> =>
      (await store.listDeviceChanges(db.reader, destination, 10)).map(({ streamId }) => streamId)
    expect([await waiting(B), await waiting(C)]).to.deep.equal([
      [6, 7, 8],
      [5, 6, 7, 8],
    ])
    const sent = async (destination: ServerName): Promise<unknown[]> => {
      const last = await store.listDeviceListsSent(db.reader, destination, [ALICE, BOB])
      return [last.get(ALICE), last.get(BOB)]
    }
    // Of Bob nothing was left out.
    expect([await sent(B), await sent(C)]).to.deep.equal([
      [undefined, 1],
      [1, 1],
    ])
  })

  it('takes it that who has fetched a list knows it, unless something waits', async () => {
    await db.write('test', async (tx) => {
      await store.putDeviceChanges(tx, [change(B, PHONE, 5), change(C, SIGNING, 6)])
      await store.markDeviceListFetched(tx, B, ALICE, 5)
      await store.markDeviceListFetched(tx, C, ALICE, 5)
      await store.markDeviceListFetched(tx, C, ALICE, 7)
    })
    expect((await store.listDeviceListsSent(db.reader, B, [ALICE])).get(ALICE)).to.equal(undefined)
    expect((await store.listDeviceListsSent(db.reader, C, [ALICE])).get(ALICE)).to.equal(7)
  })

  it('knows which messages have come, and how far streams were followed', async () => {
    const received = new ReceivedToDeviceStore()
    const positions = new FederationPositionsStore()
    const message = (messageId: string) => ({ origin: B, messageId })
    const first = await db.write('test', (tx) => received.insert(tx, [message('1'), message('2')], 100))
    expect([message('1'), message('2'), message('3')].map(first)).to.deep.equal([true, true, false])
    const second = await db.write('test', (tx) => received.insert(tx, [message('2'), message('3')], 200))
    expect([message('2'), message('3')].map(second)).to.deep.equal([false, true])
    await db.write('test', (tx) => received.deleteOld(tx, 200))
    const third = await db.write('test', (tx) => received.insert(tx, [message('2'), message('3')], 300))
    expect([message('2'), message('3')].map(third)).to.deep.equal([true, false])

    expect(await positions.get(db.reader, 'events')).to.equal(undefined)
    for (const position of [5, 9]) await db.write('test', (tx) => positions.set(tx, 'events', position))
    expect(await positions.get(db.reader, 'events')).to.equal(9)
  })
})
