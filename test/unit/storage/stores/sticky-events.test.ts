import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import type { Database } from '../../../../src/storage/database.js'
import { usersOfPattern } from '../../../../src/storage/stores/room-servers.js'
import { StickyEventsStore } from '../../../../src/storage/stores/sticky-events.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, CAROL, SERVER } from '../../../support/event-services.js'
import { RoomRows } from '../../../support/room-rows.js'

const NOW = 1_000
const LATER = 2_000

forEachDatabase('StickyEventsStore', (open) => {
  let db: Database
  let room: RoomRows
  const store = new StickyEventsStore()
  const localPattern = usersOfPattern(SERVER)

  beforeEach(async () => {
    db = await open()
    room = await RoomRows.create(db)
  })

  /** Sends events that stay in sight until some time; gives their nids. */
  async function stick(senders: readonly UserId[], expiresTs: number): Promise<number[]> {
    const ids = await room.sendMany(senders.map((sender) => ({ sender })))
    const nids = ids.map((id) => Number(id.slice('$event'.length)))
    await db.write('test', (tx) =>
      tx.insertMany(
        'sticky_events',
        nids.map((nid) => ({
          stream_ordering: nid,
          event_nid: nid,
          room_nid: room.roomNid,
          expires_ts: expiresTs,
        })),
        {
          columns: {
            stream_ordering: 'integer',
            event_nid: 'integer',
            room_nid: 'integer',
            expires_ts: 'integer',
          },
        },
      ),
    )
    return nids
  }

  it('finds those of this server, however many others there are', async () => {
    await stick([CAROL, CAROL, CAROL], LATER)
    await stick([ALICE], NOW)
    const own = await stick([ALICE, ALICE], LATER)
    const found = await store.listLocal(db.reader, [room.roomNid], { now: NOW, limit: 2, localPattern })
    expect(found.map(({ eventNid }) => eventNid)).to.deep.equal(own)
    const rest = { after: own[0]!, now: NOW, limit: 2, localPattern }
    expect(
      (await store.listLocal(db.reader, [room.roomNid], rest)).map(({ eventNid }) => eventNid),
    ).to.deep.equal(own.slice(1))
    expect(await store.listLocal(db.reader, [], { now: NOW, limit: 2, localPattern })).to.deep.equal([])
  })

  it('lists what waits after an event, without what is not sticky any more', async () => {
    const waiting = [11, 12, 13, 14].map((nid) => ({ event_nid: nid, expires_ts: nid === 12 ? NOW : LATER }))
    const columns = { event_nid: 'integer', expires_ts: 'integer' } as const
    await db.write('test', (tx) => tx.insertMany('waiting_sticky_events', waiting, { columns }))
    expect(await store.listWaiting(db.reader, { after: 0, now: NOW, limit: 2 })).to.deep.equal([11, 13])
    expect(await store.listWaiting(db.reader, { after: 13, now: NOW, limit: 2 })).to.deep.equal([14])
  })
})
