import type { Database } from '../../storage/database.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import { encodeChanges, StateSnapshot, type StateChanges } from '../../storage/state-snapshot.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import {
  MAX_SNAPSHOT_HOPS,
  type SnapshotRow,
  type StateSnapshotsStore,
} from '../../storage/stores/state-snapshots.js'

/** A state and its name. `rows`: what must be written before it may be used. */
export interface SnapshotRef {
  readonly nid: number
  readonly snapshot: StateSnapshot
  readonly rows: readonly SnapshotRow[]
}

/**
 * Names states: equal states of a room are one snapshot, whatever way led there. A new one is a delta on the one it
 * comes from, or whole where the chain of deltas would grow too long.
 * Callers hold the room's lock.
 */
export class SnapshotBuilder {
  readonly #db: Database
  readonly #store: StateSnapshotsStore
  readonly #ids: IdAllocator
  /** Named, but not committed yet: room and hash to nid. */
  readonly #pending = new Map<string, number>()

  constructor(db: Database, store: StateSnapshotsStore, ids: IdAllocator) {
    this.#db = db
    this.#store = store
    this.#ids = ids
  }

  /** The state that `base` becomes by `changes`, with the rows that it needs beyond those of `base`. */
  async build(room: RoomRecord, base: SnapshotRef, changes: StateChanges): Promise<SnapshotRef> {
    const snapshot = base.snapshot.with(changes)
    if (snapshot === base.snapshot) return { ...base, rows: [] }
    const hash = snapshot.hashText
    const existing =
      this.#pending.get(pendingKey(room.roomNid, hash)) ??
      (await this.#store.findByHash(this.#db.reader, room.roomNid, hash))
    if (existing !== undefined) return { nid: existing, snapshot, rows: [] }
    const hops = (await this.#store.hops(this.#db.reader, base.nid)) + 1
    const whole = hops > MAX_SNAPSHOT_HOPS || changes.size * 2 > snapshot.size
    const row: SnapshotRow = {
      snapshotNid: await this.#ids.next(),
      roomNid: room.roomNid,
      hash,
      baseNid: whole ? undefined : base.nid,
      hops: whole ? 0 : hops,
      entries: snapshot.size,
      delta: encodeChanges(whole ? new Map(snapshot.entries()) : changes),
    }
    this.#remember(row, snapshot)
    return { nid: row.snapshotNid, snapshot, rows: [row] }
  }

  /** The state before the first event of a new room. */
  async empty(room: RoomRecord): Promise<SnapshotRef> {
    const row: SnapshotRow = {
      snapshotNid: await this.#ids.next(),
      roomNid: room.roomNid,
      hash: StateSnapshot.empty.hashText,
      baseNid: undefined,
      hops: 0,
      entries: 0,
      delta: encodeChanges(new Map()),
    }
    this.#remember(row, StateSnapshot.empty)
    return { nid: row.snapshotNid, snapshot: StateSnapshot.empty, rows: [row] }
  }

  /** After the rows have been committed: they are found in the database from now on. */
  committed(rows: readonly SnapshotRow[]): void {
    for (const row of rows) this.#pending.delete(pendingKey(row.roomNid, row.hash))
  }

  /** After the rows have not been committed: their names mean nothing. */
  abandoned(rows: readonly SnapshotRow[]): void {
    this.committed(rows)
    for (const row of rows) this.#store.forget(row.snapshotNid)
  }

  #remember(row: SnapshotRow, snapshot: StateSnapshot): void {
    this.#pending.set(pendingKey(row.roomNid, row.hash), row.snapshotNid)
    this.#store.remember(row, snapshot)
  }
}

function pendingKey(roomNid: number, hash: string): string {
  return `${roomNid}:${hash}`
}
