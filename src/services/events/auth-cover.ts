import { LRUCache } from 'lru-cache'
import {
  coverPosition,
  coverReach,
  covers,
  raise,
  type AuthChainPosition,
  type AuthReach,
} from '../../storage/auth-reach.js'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { EventLookup, PendingEvents } from './pending-events.js'
import { StateReach } from './state-reach.js'

/** States of a room and the events, by nid, about which they disagree. */
export interface ConflictingEvents {
  readonly room: RoomRecord
  readonly snapshots: readonly StateSnapshot[]
  readonly nids: ReadonlySet<number>
  readonly pending: PendingEvents
}

/** What resolution must look at beside the conflicted events themselves, by nid. */
export interface ConflictCover {
  readonly difference: readonly number[]
  readonly subgraph: readonly number[]
}

interface Range {
  readonly chainNid: number
  /** Exclusive. */
  readonly first: number
  readonly last: number
}

/** What events cover that a state has much in common with. */
interface KnownReach {
  readonly reach: StateReach
  readonly change: ReturnType<StateReach['compare']>
}

interface Parts {
  readonly graph: EventGraphStore
  readonly lookup: EventLookup
}

/** Events that may have come and gone before what states share is looked at anew. */
const MAX_CHANGED = 500
/** Of all rooms whose shared events are remembered together. */
const MAX_SHARED_EVENTS = 50_000

/** Answers questions about auth chains by the chain cover: never walks the graph. */
export class AuthCover {
  readonly #db: Database
  readonly #parts: Parts
  /** What the states of a room shared that disagreed. */
  readonly #shared = new LRUCache<number, StateReach>({
    maxSize: MAX_SHARED_EVENTS,
    sizeCalculation: ({ size }) => size + 1,
  })

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The events in the auth chains of some states, but not of all; a state's chain includes its own events, as for every
   * server: where that makes a difference they are conflicted anyway. What the states share costs little when it is much
   * the same as the last time in this room.
   */
  async difference({ room, snapshots, nids: conflicted, pending }: ConflictingEvents): Promise<number[]> {
    const shared = new Set(snapshots[0]!.events.filter((nid) => !conflicted.has(nid)))
    const known = this.#nearReach(room, shared)
    const wanted = known ? known.change.added : [...shared]
    const positions = await this.#parts.lookup.authPositions([...conflicted, ...wanted], pending)
    const own = snapshots.map(({ events }) =>
      reachOf(
        events.filter((nid) => conflicted.has(nid)),
        positions,
      ),
    )
    const { reach, change } = known ?? this.#remember(room, shared, positions)
    const sharedReach = reachOf(change.added, positions)
    // All states have the others in common.
    for (const chainNid of new Set(own.flatMap((one) => [...one.keys()]))) {
      raise(sharedReach, chainNid, reach.highest(chainNid, change.removed))
    }
    const reaches = own.map((one) => {
      const whole = new Map(one)
      coverReach(whole, sharedReach)
      return whole
    })
    const candidates = await this.#list(rangesBetween(reaches), pending)
    return [...candidates].flatMap(([nid, position]) =>
      reaches.every((one) => covers(one, position)) ? [] : [nid],
    )
  }

  /** After the places of a room's events have changed. */
  forget({ roomNid }: RoomRecord): void {
    this.#shared.delete(roomNid)
  }

  /** What the states of the room shared the last time, where that is much the same. */
  #nearReach({ roomNid }: RoomRecord, shared: ReadonlySet<number>): KnownReach | undefined {
    const reach = this.#shared.get(roomNid)
    if (!reach) return undefined
    const change = reach.compare(shared)
    return change.added.length + change.removed.size > MAX_CHANGED ? undefined : { reach, change }
  }

  #remember(
    { roomNid }: RoomRecord,
    shared: ReadonlySet<number>,
    positions: ReadonlyMap<number, AuthChainPosition>,
  ): KnownReach {
    const reach = new StateReach(new Map([...shared].map((nid) => [nid, placeOf(nid, positions)])))
    this.#shared.set(roomNid, reach)
    return { reach, change: reach.compare(shared) }
  }

  /** The conflicted events and all on paths of auth events between them: below one, and with one below. */
  async subgraph(conflicted: ReadonlySet<number>, pending: PendingEvents): Promise<number[]> {
    const positions = await this.#parts.lookup.authPositions([...conflicted], pending)
    const reach = reachOf([...conflicted], positions)
    const ranges = [...reach].map(([chainNid, last]) => ({ chainNid, first: 0, last }))
    const below = await this.#list(ranges, pending)
    // Whoever covers any conflicted event of a chain covers the first of them.
    const firstOfChain = new Map<number, number>()
    for (const { chainNid, seq } of positions.values()) {
      firstOfChain.set(chainNid, Math.min(firstOfChain.get(chainNid) ?? seq, seq))
    }
    const between = [...below].filter(([, position]) =>
      [...position.reach].some(([chainNid, seq]) => seq >= (firstOfChain.get(chainNid) ?? Infinity)),
    )
    return [...new Set([...conflicted, ...between.map(([nid]) => nid)])]
  }

  /** Events and all before them in their chains, which is in their auth chains. */
  async chainsUpTo(nids: readonly number[], pending: PendingEvents): Promise<number[]> {
    const positions = await this.#parts.lookup.authPositions(nids, pending)
    const last = new Map<number, number>()
    for (const { chainNid, seq } of positions.values()) {
      last.set(chainNid, Math.max(last.get(chainNid) ?? 0, seq))
    }
    const ranges = [...last].map(([chainNid, seq]) => ({ chainNid, first: 0, last: seq }))
    return [...(await this.#list(ranges, pending)).keys()]
  }

  async #list(ranges: readonly Range[], pending: PendingEvents): Promise<Map<number, AuthChainPosition>> {
    if (ranges.length === 0) return new Map()
    const found = new Map(await this.#parts.graph.listChainRanges(this.#db.reader, ranges))
    const byChain = new Map(ranges.map((range) => [range.chainNid, range]))
    for (const [nid, { authPosition }] of pending) {
      const range = authPosition && byChain.get(authPosition.chainNid)
      if (range && authPosition.seq > range.first && authPosition.seq <= range.last)
        found.set(nid, authPosition)
    }
    return found
  }
}

/** What events and their auth chains cover together. */
function reachOf(
  nids: Iterable<number>,
  positions: ReadonlyMap<number, AuthChainPosition>,
): Map<number, number> {
  const reach = new Map<number, number>()
  for (const nid of nids) coverPosition(reach, placeOf(nid, positions))
  return reach
}

function placeOf(nid: number, positions: ReadonlyMap<number, AuthChainPosition>): AuthChainPosition {
  const position = positions.get(nid)
  if (!position) throw new Error(`Event ${nid} has no place in the auth chains`)
  return position
}

/** What some of them cover and others do not. */
function rangesBetween(reaches: readonly AuthReach[]): Range[] {
  const chains = new Set(reaches.flatMap((reach) => [...reach.keys()]))
  return [...chains].flatMap((chainNid) => {
    const ends = reaches.map((reach) => reach.get(chainNid) ?? 0)
    const [first, last] = [Math.min(...ends), Math.max(...ends)]
    return first < last ? [{ chainNid, first, last }] : []
  })
}
