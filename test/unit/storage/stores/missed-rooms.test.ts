import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import type { Database } from '../../../../src/storage/database.js'
import { MissedRoomsStore } from '../../../../src/storage/stores/missed-rooms.js'
import { usersOfPattern } from '../../../../src/storage/stores/room-servers.js'
import { forEachDatabase } from '../../../support/databases.js'

const B = 'b.test' as ServerName
const C = 'c.test' as ServerName

forEachDatabase('MissedRoomsStore', (open) => {
  let db: Database
  const store = new MissedRoomsStore()
  beforeEach(async () => {
    db = await open()
  })

  const missed = (destination: ServerName, roomNid: number, missedAt: number, isLast = false) => ({
    destination,
    roomNid,
    missedAt,
    isLast,
  })

  it('keeps one row of a destination and a room, until it has caught up', async () => {
    await db.write('test', async (tx) => {
      await store.put(tx, [missed(B, 2, 5), missed(B, 1, 6), missed(C, 1, 6)])
      await store.put(tx, [missed(B, 2, 9, true)])
    })
    expect(await store.list(db.reader, B, 10)).to.deep.equal([missed(B, 1, 6), missed(B, 2, 9, true)])
    expect(await store.list(db.reader, B, 1)).to.deep.equal([missed(B, 1, 6)])
    expect((await store.listDestinations(db.reader)).sort()).to.deep.equal([B, C])
    await db.write('test', (tx) =>
      store.delete(tx, B, [
        { roomNid: 1, upTo: 6 },
        { roomNid: 2, upTo: 8 },
      ]),
    )
    // Something was missed after that.
    expect(await store.list(db.reader, B, 10)).to.deep.equal([missed(B, 2, 9, true)])
    expect(await store.list(db.reader, C, 10)).to.deep.equal([missed(C, 1, 6)])
  })

  it('finds the newest event of a room that others are to have from us', async () => {
    await db.write('test', async (tx) => {
      const insert = (
        nid: number,
        sender: string,
        columns: { rejected?: string; softFailed?: number } = {},
      ) =>
        tx.execute(
          `INSERT INTO events (event_nid, event_id, room_nid, stream_ordering, depth, type, sender, origin_server_ts,
             received_ts, rejected, soft_failed, json) VALUES (?, ?, 1, ?, 1, 't', ?, 0, 0, ?, ?, '{}')`,
          [nid, `$${nid}`, nid * 10, sender, columns.rejected ?? null, columns.softFailed ?? 0],
        )
      await insert(1, '@alice:a.test')
      await insert(2, '@alice:a.test')
      await insert(3, '@eve:a.test.evil')
      await insert(4, '@alice:a.test', { rejected: 'why' })
      await insert(5, '@alice:a.test', { softFailed: 1 })
      await insert(6, '@bob:b.test')
    })
    const pattern = usersOfPattern('a.test' as ServerName)
    const newest = (from: number): Promise<Map<number, unknown>> =>
      store.newestEvents(db.reader, [{ roomNid: 1, from }], pattern)
    expect([...(await newest(5))]).to.deep.equal([[1, { eventNid: 2, streamOrdering: 20 }]])
    expect([...(await newest(21))]).to.deep.equal([])
    await db.write('test', (tx) =>
      tx.execute(`INSERT INTO relayed_events (event_nid, origin) VALUES (6, 'b.test')`),
    )
    expect([...(await newest(5))]).to.deep.equal([[1, { eventNid: 6, streamOrdering: 60 }]])
    expect([...(await store.eventsAt(db.reader, [10, 20, 99]))]).to.have.deep.members([
      [10, 1],
      [20, 2],
    ])
  })

  it('takes nothing of a server name for a pattern', () => {
    expect(usersOfPattern('a_b.test%' as ServerName)).to.equal('%:a!_b.test!%')
  })
})
