import type { Tx } from '../database.js'
import type { Dialect } from '../dialect.js'

/** What an event does to the ends of its room's graph. */
interface ExtremityWrite {
  readonly eventNid: number
  readonly room: { readonly roomNid: number }
  readonly extremities: { readonly becomesOne: boolean; readonly removed: readonly number[] }
}

interface ExtremityRow {
  readonly room_nid: number
  readonly event_nid: number
  [column: string]: number
}

interface ExtremityMove {
  readonly room_nid: number
  readonly old_nid: number
  readonly new_nid: number
  [column: string]: number
}

/** What changes at the ends of rooms by a whole batch; where a room's one end moves on, its row is moved. */
export interface ExtremityMoves {
  readonly moved: readonly ExtremityMove[]
  readonly removed: readonly ExtremityRow[]
  readonly added: readonly ExtremityRow[]
}

/** Only what is left at the end of the batch: ends that it makes and removes again are in none of the lists. */
export function extremityMoves(writes: readonly ExtremityWrite[]): ExtremityMoves {
  const moved: ExtremityMove[] = []
  const removed: ExtremityRow[] = []
  const added: ExtremityRow[] = []
  for (const [roomNid, change] of changesByRoom(writes)) {
    const [oldNid, ...olds] = change.removed
    const [newNid, ...news] = change.added
    if (oldNid !== undefined && newNid !== undefined && olds.length + news.length === 0) {
      moved.push({ room_nid: roomNid, old_nid: oldNid, new_nid: newNid })
      continue
    }
    for (const nid of change.removed) removed.push({ room_nid: roomNid, event_nid: nid })
    for (const nid of change.added) added.push({ room_nid: roomNid, event_nid: nid })
  }
  return { moved, removed, added }
}

/** The statement for `ExtremityMoves.moved`. */
export function moveExtremitiesSql(dialect: Dialect): string {
  const source = dialect.rowsFrom({ room_nid: 'integer', old_nid: 'integer', new_nid: 'integer' })
  return `UPDATE forward_extremities SET event_nid = r.new_nid FROM ${source} AS r
    WHERE forward_extremities.room_nid = r.room_nid AND forward_extremities.event_nid = r.old_nid`
}

/** Mostly one statement: nearly always a room's one end moves on. */
export async function writeExtremities(tx: Tx, writes: readonly ExtremityWrite[]): Promise<void> {
  const { dialect } = tx
  const { moved, removed, added } = extremityMoves(writes)
  await Promise.all([
    moved.length > 0 ? tx.execute(moveExtremitiesSql(dialect), [dialect.rows(moved)]) : undefined,
    removed.length > 0 ? deleteExtremities(tx, removed) : undefined,
    added.length > 0
      ? tx.insertMany('forward_extremities', added, {
          columns: { room_nid: 'integer', event_nid: 'integer' },
        })
      : undefined,
  ])
}

/** Per room, which extremities of before the batch are none any more, and which events of it are some at its end. */
function changesByRoom(
  writes: readonly ExtremityWrite[],
): Map<number, { removed: Set<number>; added: Set<number> }> {
  const rooms = new Map<number, { removed: Set<number>; added: Set<number> }>()
  for (const { room, eventNid, extremities } of writes) {
    let change = rooms.get(room.roomNid)
    if (!change) rooms.set(room.roomNid, (change = { removed: new Set(), added: new Set() }))
    for (const nid of extremities.removed) if (!change.added.delete(nid)) change.removed.add(nid)
    if (extremities.becomesOne) change.added.add(eventNid)
  }
  return rooms
}

async function deleteExtremities(tx: Tx, rows: readonly ExtremityRow[]): Promise<void> {
  const source = tx.dialect.rowsFrom({ room_nid: 'integer', event_nid: 'integer' })
  await tx.execute(
    `DELETE FROM forward_extremities WHERE (room_nid, event_nid) IN
       (SELECT r.room_nid, r.event_nid FROM ${source} AS r)`,
    [tx.dialect.rows(rows)],
  )
}
