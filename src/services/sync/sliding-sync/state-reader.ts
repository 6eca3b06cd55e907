import type { Database, Query } from '../../../storage/database.js'
import type { CurrentStateEntry, CurrentStateStore } from '../../../storage/stores/current-state.js'
import type { LazyStateStore } from '../../../storage/stores/lazy-state.js'
import type { SlidingSyncRoomsStore } from '../../../storage/stores/sliding-sync-rooms.js'
import type { StateDeltasStore } from '../../../storage/stores/state-deltas.js'
import type { StateKeysStore } from '../../../storage/stores/state-keys.js'
import type { StateSnapshotsStore } from '../../../storage/stores/state-snapshots.js'
import { splitStateKey, stateKeyOf, type StateKey } from '../../../protocol/state-map.js'
import { MEMBER, type RequiredState } from './required-state.js'

/** Which pieces of a room's state are to be read. */
export interface StateNeed {
  readonly roomNid: number
  /** The position of the events stream at which the state is wanted. */
  readonly upTo: number
  /** Instead: as it was in a snapshot, for rooms that have gone on without the user. */
  readonly snapshotNid: number | undefined
  /** Single pieces by name. */
  readonly pieces: readonly (readonly [type: string, stateKey: string])[]
  /** What is asked for in general, but for what the client has been told of already. */
  readonly required: RequiredState
  readonly known: RequiredState
}

/** The nids of events by what they hold. */
export type StateEntries = ReadonlyMap<StateKey, number>

interface Parts {
  readonly currentState: CurrentStateStore
  readonly lazyState: LazyStateStore
  readonly store: SlidingSyncRoomsStore
  readonly deltas: StateDeltasStore
  readonly snapshots: StateSnapshotsStore
  readonly stateKeys: StateKeysStore
}

/** What has to be read for the needs of many rooms. */
interface Reads {
  readonly whole: number[]
  readonly withoutMembers: number[]
  readonly types: { roomNid: number; type: string }[]
  readonly pieces: { roomNid: number; type: string; stateKey: string }[]
}

const FOREVER = Number.MAX_SAFE_INTEGER
/** Whoever names more pieces of a room's state than this gets them from all of it, but for its members. */
const MAX_PIECES = 100

/** Reads chosen pieces of the state of many rooms, and nothing more of large rooms than is asked for. */
export class StateReader {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** By nid of the room. */
  async load(needs: readonly StateNeed[]): Promise<Map<number, StateEntries>> {
    if (needs.length === 0) return new Map()
    const current = needs.filter(({ snapshotNid }) => snapshotNid === undefined)
    return this.#db.read('sliding_sync_state', async (q) => {
      const states = new Map<number, Map<StateKey, number>>(needs.map(({ roomNid }) => [roomNid, new Map()]))
      const byRoom = new Map(needs.map((need) => [need.roomNid, need]))
      for (const { roomNid, type, stateKey, eventNid } of await this.#read(q, readsOf(current))) {
        const need = byRoom.get(roomNid)
        if (need && isNeeded(need, type, stateKey))
          states.get(roomNid)?.set(stateKeyOf(type, stateKey), eventNid)
      }
      await this.#takeBack(q, current, states)
      await this.#loadSnapshots(q, needs, states)
      return states
    })
  }

  async #read(q: Query, { whole, withoutMembers, types, pieces }: Reads): Promise<CurrentStateEntry[]> {
    const { currentState, lazyState, store } = this.#parts
    return [
      ...(whole.length > 0 ? await currentState.listForRooms(q, whole) : []),
      ...(await lazyState.listWithoutMembers(q, withoutMembers)),
      ...(await store.listStateTypes(q, types)),
      ...(await store.listStatePieces(q, pieces)),
    ]
  }

  /** Read after the state: what has changed after the position that is shown is taken back. */
  async #takeBack(
    q: Query,
    needs: readonly StateNeed[],
    states: ReadonlyMap<number, Map<StateKey, number>>,
  ): Promise<void> {
    const windows = needs.map(({ roomNid, upTo }) => ({ roomNid, after: upTo, upTo: FOREVER }))
    const deltas = await this.#parts.deltas.listForRooms(q, windows)
    const byRoom = new Map(needs.map((need) => [need.roomNid, need]))
    for (const { roomNid, type, stateKey, prevEventNid } of deltas.toReversed()) {
      const need = byRoom.get(roomNid)
      if (need === undefined || !isNeeded(need, type, stateKey)) continue
      const key = stateKeyOf(type, stateKey)
      if (prevEventNid === null) states.get(roomNid)?.delete(key)
      else states.get(roomNid)?.set(key, prevEventNid)
    }
  }

  async #loadSnapshots(
    q: Query,
    needs: readonly StateNeed[],
    states: ReadonlyMap<number, Map<StateKey, number>>,
  ): Promise<void> {
    const nids = needs.flatMap(({ snapshotNid }) => snapshotNid ?? [])
    if (nids.length === 0) return
    const snapshots = await this.#parts.snapshots.getMany(q, nids)
    const keyNids = new Set([...snapshots.values()].flatMap((snapshot) => [...snapshot.keys]))
    const names = await this.#parts.stateKeys.names(q, [...keyNids])
    for (const need of needs) {
      const snapshot = need.snapshotNid === undefined ? undefined : snapshots.get(need.snapshotNid)
      for (const [keyNid, eventNid] of snapshot?.entries() ?? []) {
        const key = names.get(keyNid)
        if (key !== undefined && isNeeded(need, ...splitStateKey(key)))
          states.get(need.roomNid)?.set(key, eventNid)
      }
    }
  }
}

function isNeeded({ pieces, required, known }: StateNeed, type: string, stateKey: string): boolean {
  if (required.matches(type, stateKey) && !known.matches(type, stateKey)) return true
  return pieces.some((piece) => piece[0] === type && piece[1] === stateKey)
}

function readsOf(needs: readonly StateNeed[]): Reads {
  const reads: Reads = { whole: [], withoutMembers: [], types: [], pieces: [] }
  for (const need of needs) {
    const { roomNid, required, known } = need
    for (const [type, stateKey] of need.pieces) reads.pieces.push({ roomNid, type, stateKey })
    if (!required.exceeds(known)) continue
    if (required.everything || required.anyType.size > 0) addBroad(reads, need)
    else addNarrow(reads, need)
  }
  return reads
}

/** Of everything, or of every type: members are read one by one unless all of them are wanted. */
function addBroad(reads: Reads, { roomNid, required }: StateNeed): void {
  if (required.wantsAllOf(MEMBER)) {
    reads.whole.push(roomNid)
    return
  }
  reads.withoutMembers.push(roomNid)
  for (const stateKey of new Set([...(required.types.get(MEMBER) ?? []), ...required.anyType]))
    reads.pieces.push({ roomNid, type: MEMBER, stateKey })
}

function addNarrow(reads: Reads, { roomNid, required, known }: StateNeed): void {
  const pieces: Reads['pieces'] = []
  const types: Reads['types'] = []
  for (const [type, keys] of required.types) {
    if (required.wantsAllOf(type)) {
      if (!known.wantsAllOf(type)) types.push({ roomNid, type })
      continue
    }
    for (const stateKey of keys) if (!known.matches(type, stateKey)) pieces.push({ roomNid, type, stateKey })
  }
  const isMember = ({ type }: { readonly type: string }): boolean => type === MEMBER
  const isBroad = types.length + pieces.length - pieces.filter(isMember).length > MAX_PIECES
  if (isBroad) reads.withoutMembers.push(roomNid)
  reads.types.push(...(isBroad ? types.filter(isMember) : types))
  reads.pieces.push(...(isBroad ? pieces.filter(isMember) : pieces))
}
