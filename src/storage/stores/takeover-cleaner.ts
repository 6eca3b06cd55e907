import type { Tx } from '../database.js'

/** What hangs on the events of a room, by room. */
const OF_EVENTS = [
  'current_state',
  'current_state_deltas',
  'room_members',
  'local_memberships',
  'forward_extremities',
  'state_snapshots',
  'takeover_state_groups',
  'takeover_rooms',
  'missing_events',
  'events',
]

/** Takes back what a takeover has brought. */
export class TakeoverCleaner {
  /** Removes the events of a room, so that they can be copied anew. Looks through all edges. */
  async emptyRoom(tx: Tx, roomNid: number): Promise<void> {
    const events = 'SELECT event_nid FROM events WHERE room_nid = ?'
    await tx.execute(`DELETE FROM event_edges WHERE event_nid IN (${events})`, [roomNid])
    await tx.execute(`DELETE FROM auth_chains WHERE event_nid IN (${events})`, [roomNid])
    for (const table of OF_EVENTS) await tx.execute(`DELETE FROM ${table} WHERE room_nid = ?`, [roomNid])
  }

  /** Removes a room that the source does not have any more. */
  async removeRoom(tx: Tx, roomNid: number): Promise<void> {
    await this.emptyRoom(tx, roomNid)
    await tx.execute('DELETE FROM rooms WHERE room_nid = ?', [roomNid])
  }

  /** Empties tables that are copied as a whole. */
  async emptyTables(tx: Tx, tables: Iterable<string>): Promise<void> {
    for (const table of tables) await tx.execute(`DELETE FROM ${table}`)
  }
}
