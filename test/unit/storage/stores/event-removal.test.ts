import { expect } from 'chai'
import type { EventId } from '../../../../src/protocol/ids.js'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database, SqlValue, Tx } from '../../../../src/storage/database.js'
import { quoteName } from '../../../../src/storage/sql-text.js'
import { EventSearchStore } from '../../../../src/storage/stores/event-search.js'
import { EventsStore } from '../../../../src/storage/stores/events.js'
import { ExpiredEventsStore } from '../../../../src/storage/stores/expired-events.js'
import { HistoryPurgeStore } from '../../../../src/storage/stores/history-purge.js'
import { RoomsStore } from '../../../../src/storage/stores/rooms.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { pushTo } from '../../../../src/util/group-by.js'
import { forEachDatabase } from '../../../support/databases.js'
import { insertRow, listColumns, NAMES_EVENT, type Column } from '../../../support/every-table.js'

const ROOM = { roomNid: 7, roomId: '!room:hs.test' }
/** What names an event by where it stands in the timeline. */
const NAMES_POSITION = ['stream_ordering', 'event_position']
/** Tables whose `stream_ordering` is no event's. */
const OTHER_POSITIONS = new Set(['completed_rooms'])
/** Tables whose rows outlive a deleted event that they name, and why. */
const STAYING: Readonly<Record<string, string>> = {
  // Of state, which is never deleted.
  auth_chains: 'state events are kept',
  current_state: 'state events are kept',
  current_state_deltas: 'state events are kept',
  local_memberships: 'state events are kept',
  partial_state_rooms: 'rooms whose state is not whole are not purged',
  room_members: 'state events are kept',
  forward_extremities: 'the ends of the history are not purged',
  event_edges: 'leads from what follows to the gap',
  event_relationships: 'an answer names what it is an answer to',
  event_reports: 'administrators decide about reports',
  federation_inbox: 'has not been taken in yet',
  missing_events: 'is the gap',
  receipts: 'says how far somebody has read',
  redactions: 'what redacts it and is still there redacts it when other servers give it',
  thread_subscriptions: 'a thread goes on without its root',
}
/** What an event that remains outside the timeline loses: all that is about its place there. */
const OF_TIMELINE = ['event_highlights', 'event_push_exceptions', 'relayed_events', 'sticky_events']

/** One event: it goes, it is kept as an outlier, or it stays in the timeline. */
const eventOf = (n: number) => ({
  eventNid: 100 + n,
  eventId: `$event${n}` as EventId,
  position: 500 + n,
  userId: `@user${n}:hs.test`,
})

const GONE = 1
const KEPT = 2
const STAYS = 3
const GONE_REDACTION = 4

function jsonOf(n: number): string {
  const isRedaction = n === GONE_REDACTION
  return JSON.stringify({
    type: isRedaction ? 'm.room.redaction' : 'm.room.message',
    sender: eventOf(n).userId,
    room_id: ROOM.roomId,
    content: isRedaction ? { redacts: '$never-held' } : { body: 'x' },
    depth: n,
    origin_server_ts: 1,
    prev_events: n === GONE ? ['$earlier'] : [],
    auth_events: [],
    hashes: { sha256: 'x' },
    signatures: {},
  })
}

/** By table and column, where neither the name nor the type says what may be there. */
const VALUES: Readonly<Record<string, (n: number) => SqlValue>> = {
  'events.json': jsonOf,
  'events.rejected': () => null,
  'events.redacted_by': () => null,
  'events.soft_failed': () => 0,
  'events.relates_to': () => null,
  'events.thread_root': () => null,
  'rooms.version': () => '12',
  'room_members.is_local': () => 1,
  // One row a room.
  'partial_state_rooms.room_nid': (n) => 1_000 + n,
}

function valueOf({ table, name, type }: Column, n: number): SqlValue {
  const event = eventOf(n)
  const isNumber = /int/i.test(type)
  const known = VALUES[`${table}.${name}`]
  if (known !== undefined) return known(n)
  if (name === 'room_nid') return ROOM.roomNid
  if (name === 'room_id') return ROOM.roomId
  if (name === 'user_id') return event.userId
  if (NAMES_EVENT.includes(name)) return isNumber ? event.eventNid : event.eventId
  if (NAMES_POSITION.includes(name)) return event.position
  if (/blob|bytea/i.test(type)) return Buffer.from([n])
  return isNumber ? 1_000 + n : `x${n}`
}

/** Tables that are not filled with a row for each event: what is in them is made for the purpose. */
const NOT_FILLED = ['rooms', 'event_edges', 'missing_events']

forEachDatabase('what removed events leave', (open) => {
  let db: Database
  /** Those that name events. */
  let tables: Map<string, Column[]>
  let events: EventsStore
  let store: HistoryPurgeStore

  const isOfEvent = ({ table, name }: Column): boolean =>
    NAMES_EVENT.includes(name) || (NAMES_POSITION.includes(name) && !OTHER_POSITIONS.has(table))

  beforeEach(async () => {
    db = await open()
    const columns = await listColumns(db)
    const ofEvents = new Set(columns.filter(isOfEvent).map(({ table }) => table))
    tables = new Map()
    for (const column of columns) {
      if (ofEvents.has(column.table) || column.table === 'rooms') pushTo(tables, column.table, column)
    }
    const caches = new CacheRegistry(createMetrics())
    const rooms = new RoomsStore(caches)
    events = new EventsStore(caches, rooms, { cacheSize: 10 })
    store = new HistoryPurgeStore({ events, eventSearch: new EventSearchStore() })
    await db.write('fill', async (tx) => {
      await insert(tx, 'rooms', 0)
      for (const n of [GONE, KEPT, STAYS, GONE_REDACTION]) {
        for (const table of tables.keys()) if (!NOT_FILLED.includes(table)) await insert(tx, table, n)
      }
      const { eventNid: gone, eventId } = eventOf(GONE)
      await insert(tx, 'missing_events', 0, { event_nid: 1, event_id: '$earlier' })
      // What is gone has come after a gap, and what stays after it.
      await insert(tx, 'event_edges', 0, { prev_nid: 1, event_nid: gone })
      await insert(tx, 'event_edges', 0, { prev_nid: gone, event_nid: eventOf(STAYS).eventNid })
      await insert(tx, 'event_relationships', 0, { child_nid: 2, parent_id: eventId })
      await insert(tx, 'redactions', 0, { target_id: eventId, redaction_nid: eventOf(STAYS).eventNid })
      await insert(tx, 'redactions', 0, {
        target_id: '$never-held',
        redaction_nid: eventOf(GONE_REDACTION).eventNid,
      })
    })
  })

  function insert(
    tx: Tx,
    table: string,
    n: number,
    others: Readonly<Record<string, SqlValue>> = {},
  ): Promise<void> {
    return insertRow(tx, tables.get(table)!, (column) => others[column.name] ?? valueOf(column, n))
  }

  /** The rows of each table that name an event by any column. */
  async function rowsOf(n: number): Promise<Map<string, unknown[]>> {
    const found = new Map<string, unknown[]>()
    for (const [table, own] of tables) {
      const naming = own.filter(isOfEvent)
      if (naming.length === 0) continue
      const where = naming.map(({ name }) => `${quoteName(name)} = ?`).join(' OR ')
      const rows = await db.reader.all(
        `SELECT * FROM ${quoteName(table)} WHERE ${where}`,
        naming.map((column) => valueOf(column, n)),
      )
      if (rows.length > 0) found.set(table, rows)
    }
    return found
  }

  async function purge(): Promise<void> {
    const nids = [GONE, KEPT, GONE_REDACTION].map((n) => eventOf(n).eventNid)
    const stored = [...(await events.getByNids(db.reader, nids)).values()]
    expect(stored).to.have.length(3)
    await db.write('purge', (tx) => store.purge(tx, stored, new Set([eventOf(KEPT).eventNid])))
  }

  it('leaves nothing of a deleted event but what others need', async () => {
    const all = [...tables.keys()].filter((table) => !['rooms', 'missing_events'].includes(table))
    expect([...(await rowsOf(GONE)).keys()].sort()).to.deep.equal(all.sort())
    await purge()
    const left = await rowsOf(GONE)
    expect([...left.keys()].sort()).to.deep.equal(Object.keys(STAYING).sort())
    const { eventNid: gone, eventId } = eventOf(GONE)
    const { eventNid: after } = eventOf(STAYS)
    expect(left.get('missing_events')).to.deep.equal([
      { event_nid: gone, event_id: eventId, room_nid: ROOM.roomNid },
    ])
    expect(left.get('event_edges')).to.deep.equal([{ prev_nid: gone, event_nid: after }])
    expect(left.get('redactions')).to.have.length(1)
    expect(left.get('redactions')![0]).to.include({ redaction_nid: after, applied: 0 })
  })

  it('forgets what waited before it and led nowhere else', async () => {
    await purge()
    expect(
      await db.reader.all('SELECT 1 FROM missing_events WHERE event_id = ?', ['$earlier']),
    ).to.deep.equal([])
    expect(
      await db.reader.all('SELECT 1 FROM redactions WHERE target_id = ?', ['$never-held']),
    ).to.deep.equal([])
  })

  it('is less where messages have expired: nothing says that there was something', async () => {
    const expired = new ExpiredEventsStore({ events, eventSearch: new EventSearchStore() })
    const before = await rowsOf(STAYS)
    await db.write('expire', (tx) => expired.delete(tx, [eventOf(GONE).eventNid]))
    const staying = Object.keys(STAYING).filter((table) => !['event_edges', 'missing_events'].includes(table))
    expect([...(await rowsOf(GONE)).keys()].sort()).to.deep.equal(staying.sort())
    const after = await rowsOf(STAYS)
    // What stays came after it.
    for (const rows of [before, after]) for (const table of ['event_edges', 'redactions']) rows.delete(table)
    expect(after).to.deep.equal(before)
  })

  it('keeps an event that others need, outside the timeline', async () => {
    const before = await rowsOf(KEPT)
    await purge()
    const after = await rowsOf(KEPT)
    expect([...before.keys()].filter((table) => !after.has(table)).sort()).to.deep.equal(OF_TIMELINE)
    const [event] = after.get('events') as Record<string, unknown>[]
    expect(event).to.include({ stream_ordering: null, state_before: null, state_after: null, notifies: 0 })
    for (const [table, rows] of after) {
      if (!['events', 'event_edges'].includes(table)) expect(rows, table).to.deep.equal(before.get(table))
    }
  })

  it('touches nothing of what stays', async () => {
    const before = await rowsOf(STAYS)
    await purge()
    const after = await rowsOf(STAYS)
    // A redaction that is still there waits for its target again.
    for (const rows of [before, after]) rows.delete('redactions')
    expect(after).to.deep.equal(before)
  })
})
