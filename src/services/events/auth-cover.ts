import { covers, coverPosition, type AuthChainPosition, type AuthReach } from '../../storage/auth-reach.js'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import type { EventLookup, PendingEvents } from './pending-events.js'

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

interface Parts {
  readonly graph: EventGraphStore
  readonly lookup: EventLookup
}

/** Answers questions about auth chains by the chain cover: never walks the graph. */
export class AuthCover {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The events in the auth chains of some states, but not of all; a state's chain includes its own events, as for every
   * server: where that makes a difference they are conflicted anyway.
   */
  async difference(
    snapshots: readonly StateSnapshot[],
    conflicted: ReadonlySet<number>,
    pending: PendingEvents,
  ): Promise<number[]> {
    const shared: number[] = []
    for (const nid of snapshots[0]!.events) if (!conflicted.has(nid)) shared.push(nid)
    const positions = await this.#parts.lookup.authPositions([...conflicted, ...shared], pending)
    const sharedReach = reachOf(shared, positions)
    const reaches = snapshots.map((snapshot) => {
      const own = [...snapshot.events].filter((nid) => conflicted.has(nid))
      return reachOf(own, positions, sharedReach)
    })
    const candidates = await this.#list(rangesBetween(reaches), pending)
    return [...candidates].flatMap(([nid, position]) =>
      reaches.every((reach) => covers(reach, position)) ? [] : [nid],
    )
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
  nids: readonly number[],
  positions: ReadonlyMap<number, AuthChainPosition>,
  start: AuthReach = new Map(),
): Map<number, number> {
  const reach = new Map(start)
  for (const nid of nids) {
    const position = positions.get(nid)
    if (!position) throw new Error(`Event ${nid} has no place in the auth chains`)
    coverPosition(reach, position)
  }
  return reach
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
