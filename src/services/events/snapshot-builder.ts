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

/** Where snapshots are found. */
export type NamedSnapshots = Pick<
  StateSnapshotsStore,
  'getMany' | 'findByHash' | 'hops' | 'remember' | 'forget'
>

/**
 * Names states: equal states of a room are one snapshot, whatever way led there. A new one is a delta on the one it
 * comes from, or whole where the chain of deltas would grow too long.
 * Callers hold the room's lock.
 */
export class SnapshotBuilder {
  readonly #db: Database
  readonly #store: NamedSnapshots
  readonly #ids: IdAllocator
  /** Named, but not committed yet: room and hash to nid. */
  readonly #pendingNids = new Map<string, number>()
  /** What those are: the store's cache may forget what it cannot read. */
  readonly #pending = new Map<number, { row: SnapshotRow; snapshot: StateSnapshot }>()

  constructor(db: Database, store: NamedSnapshots, ids: IdAllocator) {
    this.#db = db
    this.#store = store
    this.#ids = ids
  }

  /**
   * The state that `base` becomes by an event which is in no state yet, with the rows that it needs beyond those of
   * `base`.
   */
  apply(
    room: RoomRecord,
    base: SnapshotRef,
    change: { keyNid: number; eventNid: number },
  ): Promise<SnapshotRef> {
    const changes = new Map([[change.keyNid, change.eventNid]])
    return this.#name(room, base, { changes, snapshot: base.snapshot.with(changes) })
  }

  /** The state that `base` becomes by `changes`, with the rows that it needs beyond those of `base`. */
  async build(room: RoomRecord, base: SnapshotRef, changes: StateChanges): Promise<SnapshotRef> {
    const snapshot = base.snapshot.with(changes)
    if (snapshot === base.snapshot) return { ...base, rows: [] }
    const existing = await this.#find(room, snapshot)
    return existing ?? this.#name(room, base, { changes, snapshot })
  }

  /** The state before any event of a room. */
  async empty(room: RoomRecord, options: { isNewRoom: boolean }): Promise<SnapshotRef> {
    const existing = options.isNewRoom ? undefined : await this.#find(room, StateSnapshot.empty)
    if (existing) return existing
    const row: SnapshotRow = {
      snapshotNid: await this.#ids.next(),
      roomNid: room.roomNid,
      hash: StateSnapshot.empty.hashText,
      baseNid: undefined,
      hops: 0,
      entries: 0,
      delta: encodeChanges(new Map()),
    }
    return this.#remember(row, StateSnapshot.empty)
  }

  /** Snapshots that are committed or about to be. Throws when one is missing. */
  async load(nids: readonly number[]): Promise<StateSnapshot[]> {
    const unread = nids.filter((nid) => !this.#pending.has(nid))
    const read = unread.length === 0 ? undefined : await this.#store.getMany(this.#db.reader, unread)
    return nids.map((nid) => {
      const snapshot = this.#pending.get(nid)?.snapshot ?? read?.get(nid)
      if (!snapshot) throw new Error(`State snapshot ${nid} is missing`)
      return snapshot
    })
  }

  /** After the rows have been committed: they are found in the database from now on. */
  committed(rows: readonly SnapshotRow[]): void {
    for (const row of rows) {
      this.#pendingNids.delete(pendingKey(row.roomNid, row.hash))
      this.#pending.delete(row.snapshotNid)
    }
  }

  /** After the rows have not been committed: their names mean nothing. */
  abandoned(rows: readonly SnapshotRow[]): void {
    this.committed(rows)
    for (const row of rows) this.#store.forget(row.snapshotNid)
  }

  async #find(room: RoomRecord, snapshot: StateSnapshot): Promise<SnapshotRef | undefined> {
    const hash = snapshot.hashText
    const pendingNid = this.#pendingNids.get(pendingKey(room.roomNid, hash))
    const pending = pendingNid === undefined ? undefined : this.#pending.get(pendingNid)
    // With its row: whoever it was named for may never come to be written.
    if (pending) return { nid: pending.row.snapshotNid, snapshot, rows: [pending.row] }
    const nid = await this.#store.findByHash(this.#db.reader, room.roomNid, hash)
    return nid === undefined ? undefined : { nid, snapshot, rows: [] }
  }

  async #name(
    room: RoomRecord,
    base: SnapshotRef,
    { changes, snapshot }: { changes: StateChanges; snapshot: StateSnapshot },
  ): Promise<SnapshotRef> {
    const hops = (await this.#hops(base.nid)) + 1
    const whole = hops > MAX_SNAPSHOT_HOPS || changes.size * 2 > snapshot.size
    const row: SnapshotRow = {
      snapshotNid: await this.#ids.next(),
      roomNid: room.roomNid,
      hash: snapshot.hashText,
      baseNid: whole ? undefined : base.nid,
      hops: whole ? 0 : hops,
      entries: snapshot.size,
      delta: encodeChanges(whole ? new Map(snapshot.entries()) : changes),
    }
    return this.#remember(row, snapshot)
  }

  async #hops(nid: number): Promise<number> {
    return this.#pending.get(nid)?.row.hops ?? this.#store.hops(this.#db.reader, nid)
  }

  #remember(row: SnapshotRow, snapshot: StateSnapshot): SnapshotRef {
    this.#pendingNids.set(pendingKey(row.roomNid, row.hash), row.snapshotNid)
    this.#pending.set(row.snapshotNid, { row, snapshot })
    this.#store.remember(row, snapshot)
    return { nid: row.snapshotNid, snapshot, rows: [row] }
  }
}

function pendingKey(roomNid: number, hash: string): string {
  return `${roomNid}:${hash}`
}
