import type { StoredEvent } from '../../storage/stores/events.js'
import { StateSnapshot } from '../../storage/state-snapshot.js'
import type { EventId } from '../../protocol/ids.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { EventLookup } from './pending-events.js'
import type { RoomHead } from './room-heads.js'
import type { SnapshotBuilder, SnapshotRef } from './snapshot-builder.js'
import type { StateKeyInterner } from './state-key-interner.js'

interface Parts {
  readonly lookup: EventLookup
  readonly interner: StateKeyInterner
  readonly builder: SnapshotBuilder
}

/** Makes snapshots of states that another server vouches for. */
export class GivenStates {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The state that consists of these events, as a change of the room's current one. What is not held, was rejected, is of
   * another room or no state is left out. Callers hold the room's lock.
   */
  async build({ room, state, pending }: RoomHead, ids: readonly EventId[]): Promise<SnapshotRef> {
    const found = await this.#parts.lookup.byIds(ids, pending)
    const byKey = new Map<StateKey, StoredEvent>()
    for (const stored of found.values()) {
      const { type, stateKey } = stored.event
      if (stateKey === undefined || stored.rejected !== null || stored.roomNid !== room.roomNid) continue
      byKey.set(stateKeyOf(type, stateKey), stored)
    }
    const keyNids = await this.#parts.interner.intern([...byKey.keys()])
    const target = StateSnapshot.from(
      [...byKey].map(([key, { eventNid }]) => {
        const keyNid = keyNids.get(key)
        if (keyNid === undefined) throw new Error(`A state key of ${room.roomId} has no nid`)
        return [keyNid, eventNid] as const
      }),
    )
    return this.#parts.builder.build(room, state, state.snapshot.changesTo(target))
  }
}
