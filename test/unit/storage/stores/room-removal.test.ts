import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database, SqlValue, Tx } from '../../../../src/storage/database.js'
import { quoteName } from '../../../../src/storage/sql-text.js'
import { EventSearchStore } from '../../../../src/storage/stores/event-search.js'
import { EventsStore } from '../../../../src/storage/stores/events.js'
import { RoomRemovalStore } from '../../../../src/storage/stores/room-removal.js'
import { RoomsStore } from '../../../../src/storage/stores/rooms.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { pushTo } from '../../../../src/util/group-by.js'
import { forEachDatabase } from '../../../support/databases.js'
import { insertRow, isOfRoom, listColumns, NAMES_EVENT, type Column } from '../../../support/every-table.js'

/** Columns whose names sound like it, and that name neither. */
const NAMES_OTHERS = new Set([
  'base_nid',
  'chain_nid',
  'connection_nid',
  'key_nid',
  'snapshot_nid',
  'event_position',
  'event_type',
  'room_type',
])
/** Tables whose rows outlive the room, and why. */
const STAYING: Readonly<Record<string, string>> = {
  blocked_rooms: 'a room stays blocked though it is not held',
  event_reports: 'administrators decide about reports',
  room_reports: 'administrators decide about reports',
  key_backup_sessions: 'users may have what they can read elsewhere',
  sliding_sync_rooms: 'goes with its connection',
  takeover_rooms: 'is emptied when the takeover ends',
  takeover_state_groups: 'is emptied when the takeover ends',
}

/** A room of which every table has a row. */
const roomOf = (n: number) => ({
  roomNid: n,
  roomId: `!room${n}:hs.test` as RoomId,
  eventNid: 100 + n,
  eventId: `$event${n}` as EventId,
  missingNid: 300 + n,
  missingId: `$missing${n}` as EventId,
  userId: `@user${n}:hs.test`,
})

type TestRoom = ReturnType<typeof roomOf>

function valueOf({ table, name, type }: Column, room: TestRoom, n: number): SqlValue {
  const isNumber = /int/i.test(type)
  if (name === 'room_nid') return room.roomNid
  if (name === 'room_id') return room.roomId
  if (name === 'user_id') return room.userId
  if (table === 'events' && name === 'type') return 'm.room.redaction'
  if (table === 'events' && name === 'json') return JSON.stringify({ redacts: room.missingId })
  if (NAMES_EVENT.includes(name)) return isNumber ? room.eventNid : room.eventId
  if (name === 'version') return isNumber ? n : '12'
  if (/blob|bytea/i.test(type)) return Buffer.from([n])
  return isNumber ? 1_000 + n : `x${n}`
}

forEachDatabase('RoomRemovalStore', (open) => {
  let db: Database
  let columns: Column[]
  let tables: Map<string, Column[]>

  beforeEach(async () => {
    db = await open()
    columns = await listColumns(db)
    const ofRooms = new Set(columns.filter(isOfRoom).map(({ table }) => table))
    tables = new Map()
    for (const column of columns) if (ofRooms.has(column.table)) pushTo(tables, column.table, column)
  })

  /** A row in every table, and further ones about an event that is not held. */
  async function fill(n: number): Promise<void> {
    const { missingNid, missingId } = roomOf(n)
    await db.write('fill', async (tx) => {
      for (const table of tables.keys()) await insert(tx, table, n)
      await insert(tx, 'missing_events', n, { event_nid: missingNid, event_id: missingId })
      await insert(tx, 'event_edges', n, { prev_nid: missingNid })
      await insert(tx, 'redactions', n, { target_id: missingId })
    })
  }

  function insert(
    tx: Tx,
    table: string,
    n: number,
    others: Readonly<Record<string, SqlValue>> = {},
  ): Promise<void> {
    return insertRow(tx, tables.get(table)!, (column) => others[column.name] ?? valueOf(column, roomOf(n), n))
  }

  /** The tables that have something of the room, by any column that may name it. */
  async function listTablesOf(n: number): Promise<string[]> {
    const found: string[] = []
    for (const [table, own] of tables) {
      const naming = own.filter(isOfRoom)
      const where = naming.map(({ name }) => `${quoteName(name)} = ?`).join(' OR ')
      const values = naming.map((column) => valueOf(column, roomOf(n), n))
      const row = await db.reader.first(`SELECT 1 FROM ${quoteName(table)} WHERE ${where}`, values)
      if (row !== undefined) found.push(table)
    }
    return found.sort()
  }

  it('knows of each column whether it names a room or an event', () => {
    const unknown = columns.filter(
      (column) =>
        /(?:^|_)(?:room|event|nid)(?:_|$)/.test(column.name) &&
        !isOfRoom(column) &&
        !NAMES_OTHERS.has(column.name),
    )
    expect(unknown.map(({ table, name }) => `${table}.${name}`)).to.deep.equal([])
  })

  it('leaves nothing of a room in any table, and touches no other room', async () => {
    for (const n of [1, 2]) await fill(n)
    const before = await listTablesOf(2)
    expect(before).to.deep.equal([...tables.keys()].sort())
    const caches = new CacheRegistry(createMetrics())
    const rooms = new RoomsStore(caches)
    const events = new EventsStore(caches, rooms, { cacheSize: 10 })
    const store = new RoomRemovalStore({ rooms, events, eventSearch: new EventSearchStore() })
    const room = (await rooms.get(db.reader, roomOf(1).roomId))!
    await db.write('hide', (tx) => store.hide(tx, room))
    const removed = await db.write('remove', async (tx) => [
      await store.removeEvents(tx, room.roomNid, 10),
      await store.removePeople(tx, room, 10),
      await store.removeRest(tx, room.roomNid, 10),
    ])
    expect(removed).to.deep.equal([1, 1, false])
    expect(await listTablesOf(1)).to.deep.equal(Object.keys(STAYING).sort())
    expect(await listTablesOf(2)).to.deep.equal(before)
  })
})
