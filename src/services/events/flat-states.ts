import type { Database } from '../../storage/database.js'
import { StateSnapshot } from '../../storage/state-snapshot.js'
import type { CurrentStateChange } from '../../storage/stores/current-state-writer.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { PendingEvents } from './pending-events.js'
import type { StateChangeDescriber } from './state-changes.js'
import type { StateKeyInterner } from './state-key-interner.js'

interface Parts {
  readonly currentState: CurrentStateStore
  readonly interner: StateKeyInterner
  readonly changes: StateChangeDescriber
}

/**
 * The flat tables where they do not follow from the head of the room: it was replaced as a whole, or they hold what was
 * known of the room from outside.
 */
export class FlatStates {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * What makes the flat tables say what a state says. `doubted`: pieces that are written anew even if they seem right.
   * Callers hold the room's lock.
   */
  async changesTo(
    { roomNid }: RoomRecord,
    target: StateSnapshot,
    pending: PendingEvents,
    { doubted = [] }: { readonly doubted?: readonly StateKey[] } = {},
  ): Promise<CurrentStateChange[]> {
    const { currentState, interner, changes } = this.#parts
    const entries = await currentState.list(this.#db.reader, roomNid)
    const keyNids = await interner.intern(entries.map(({ type, stateKey }) => stateKeyOf(type, stateKey)))
    const before = StateSnapshot.from(
      entries.map(({ type, stateKey, eventNid }) => [keyNids.get(stateKeyOf(type, stateKey))!, eventNid]),
    )
    const unknown = doubted.flatMap((key) => keyNids.get(key) ?? [])
    const known = before.with(new Map(unknown.map((keyNid) => [keyNid, undefined])))
    return changes.describe(known, target, pending)
  }
}
