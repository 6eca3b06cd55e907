import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import type { ConflictResolver, ResolvedConflict } from './conflict-resolver.js'
import { NOTHING_PENDING, type PendingEvents } from './pending-events.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateKeyInterner } from './state-key-interner.js'

interface Parts {
  readonly conflicts: ConflictResolver
  readonly interner: StateKeyInterner
  readonly builder: SnapshotBuilder
}

/**
 * Gives the state that several branches of a room's graph come to; branches with the same snapshot need no resolution.
 * https://spec.matrix.org/latest/rooms/v12/#state-resolution
 */
export class StateResolver {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The state of the room where branches with these states meet. `pending`: events that cannot be read yet. */
  async resolve(
    room: RoomRecord,
    snapshotNids: readonly number[],
    pending: PendingEvents = NOTHING_PENDING,
  ): Promise<SnapshotRef> {
    // In one order, so that the same branches give the same deltas.
    const distinct = [...new Set(snapshotNids)].sort((a, b) => a - b)
    const snapshots = await this.#parts.builder.load(distinct)
    const [snapshot] = snapshots
    if (snapshot === undefined) return this.#parts.builder.empty(room, { isNewRoom: false })
    const base: SnapshotRef = { nid: distinct[0]!, snapshot, rows: [] }
    if (snapshots.length === 1) return base
    const conflict = await this.#parts.conflicts.resolve({ room, snapshots, pending })
    return this.#parts.builder.build(room, base, await this.#changesTo(snapshot, conflict))
  }

  /** What resolution changes about one of the states. */
  async #changesTo(
    base: StateSnapshot,
    { resolved, keys, events }: ResolvedConflict,
  ): Promise<Map<number, number | undefined>> {
    const keyNids = await this.#parts.interner.intern([...resolved.keys()])
    const changes = new Map<number, number | undefined>()
    // A key about which the branches disagreed may end up unset.
    for (const key of keys) if (base.get(key) !== undefined) changes.set(key, undefined)
    for (const [name, id] of resolved) {
      const key = keyNids.get(name)
      const nid = events.get(id)?.eventNid
      if (key !== undefined && nid !== undefined) changes.set(key, nid)
    }
    return changes
  }
}
