import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import type { Database } from '../../../../src/storage/database.js'
import { MissedRoomsStore } from '../../../../src/storage/stores/missed-rooms.js'
import { RelayedEventsStore } from '../../../../src/storage/stores/relayed-events.js'
import { forEachDatabase } from '../../../support/databases.js'

const B = 'b.test' as ServerName

forEachDatabase('RelayedEventsStore', (open) => {
  let db: Database
  const store = new RelayedEventsStore()
  beforeEach(async () => {
    db = await open()
  })

  it('forgets what nobody need be told of any more', async () => {
    await db.write('test', async (tx) => {
      const insert = (nid: number, roomNid: number, streamOrdering: number): Promise<unknown> =>
        tx.execute(
          `INSERT INTO events (event_nid, event_id, room_nid, stream_ordering, depth, type, sender, origin_server_ts,
             received_ts, soft_failed, json) VALUES (?, ?, ?, ?, 1, 't', '@a:b.test', 0, 0, 0, '{}')`,
          [nid, `$${nid}`, roomNid, streamOrdering],
        )
      await insert(1, 1, 10)
      await insert(2, 1, 20)
      await insert(3, 2, 12)
      await insert(4, 2, 14)
      for (const nid of [1, 2, 3, 4, 5]) await store.insert(tx, nid, B)
      await new MissedRoomsStore().put(tx, [{ destination: B, roomNid: 2, missedAt: 13, isLast: false }])
    })
    await db.write('test', (tx) => store.deleteSettled(tx, 15))
    // Of room 1 what comes after, of room 2 what a server may have missed; the fifth is of no event.
    expect([...(await store.list(db.reader, [1, 2, 3, 4, 5])).keys()].sort()).to.deep.equal([2, 4])
  })
})
