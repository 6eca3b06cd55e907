import type { Database } from '../../storage/database.js'
import { coverPosition, type AuthChainPosition } from '../../storage/auth-reach.js'
import type { EventGraphStore, ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import { authStateKeys } from '../../protocol/auth-events.js'
import type { Event } from '../../protocol/event.js'
import type { UserId } from '../../protocol/ids.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { stateKeyOf, type AuthState, type StateKey } from '../../protocol/state-map.js'
import type { StateSnapshot } from '../../storage/state-snapshot.js'
import type { JsonObject } from '../../util/json.js'
import type { EventLookup, PendingEvents } from './pending-events.js'

/** What somebody wants to happen in a room, before it is an event. */
export interface EventDraft {
  readonly type: string
  readonly content: JsonObject
  readonly stateKey?: string
  /** For how long everybody in the room is told of it, in milliseconds. */
  readonly stickyMs?: number | undefined
}

/** A piece of state by key: the stored event. */
export type StateLookup = ReadonlyMap<StateKey, StoredEvent>

/** A state, and the events of it that cannot be read yet. */
export interface StatePoint {
  readonly snapshot: StateSnapshot
  readonly pending: PendingEvents
}

interface Parts {
  readonly graph: EventGraphStore
  readonly stateKeys: StateKeysStore
  readonly lookup: EventLookup
  readonly chainIds: IdAllocator
}

/** Finds what an event needs of a room: previous events, state by key, the place in the auth chains. */
export class EventAssembler {
  readonly #db: Database
  readonly #parts: Parts
  /** The last position of chains that this process has extended. */
  readonly #tips = new Map<number, number>()

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The events that authorize a draft at a state; in every room version with the create event. */
  authState(
    rules: RoomVersionRules,
    at: StatePoint,
    draft: EventDraft & { readonly sender: UserId },
  ): Promise<StateLookup> {
    const keys = authStateKeys(rules, draft).map(([type, stateKey]) => stateKeyOf(type, stateKey))
    return this.lookUp(at, keys)
  }

  /** Some pieces of a state. In memory for rooms that are written to often. */
  async lookUp({ snapshot, pending }: StatePoint, keys: readonly StateKey[]): Promise<StateLookup> {
    const keyNids = await this.#parts.stateKeys.find(this.#db.reader, keys)
    const wanted = new Map<number, StateKey>()
    for (const [key, keyNid] of keyNids) {
      const nid = snapshot.get(keyNid)
      if (nid !== undefined) wanted.set(nid, key)
    }
    const events = await this.#parts.lookup.byNids([...wanted.keys()], pending)
    return new Map([...events].map(([nid, stored]) => [wanted.get(nid)!, stored]))
  }

  /**
   * Where a state event stands in the auth chains. It extends the chain of the event that it replaces when that is the
   * chain's last, so that every event of a chain covers all before it. What is no state event authorizes nothing, and is
   * in no chain.
   */
  async authPosition(
    event: Event,
    authEvents: readonly StoredEvent[],
    pending: PendingEvents,
  ): Promise<AuthChainPosition> {
    const nids = authEvents.map((stored) => stored.eventNid)
    const positions = await this.#parts.lookup.authPositions(nids, pending)
    const reach = new Map<number, number>()
    for (const nid of nids) {
      const position = positions.get(nid)
      if (position) coverPosition(reach, position)
    }
    const replaced = authEvents.find(
      ({ event: other }) => other.type === event.type && other.stateKey === event.stateKey,
    )
    const previous = replaced && positions.get(replaced.eventNid)
    if (previous && (await this.#isTip(previous, pending))) {
      const position = { chainNid: previous.chainNid, seq: previous.seq + 1, reach }
      this.#tips.set(position.chainNid, position.seq)
      return position
    }
    const chainNid = await this.#parts.chainIds.next()
    this.#setTip(chainNid, 1)
    return { chainNid, seq: 1, reach }
  }

  async #isTip(position: AuthChainPosition, pending: PendingEvents): Promise<boolean> {
    const known = this.#tips.get(position.chainNid)
    if (known !== undefined) return known === position.seq
    for (const { authPosition } of pending.values()) {
      if (authPosition?.chainNid === position.chainNid && authPosition.seq > position.seq) return false
    }
    const tips = await this.#parts.graph.getChainTips(this.#db.reader, [position.chainNid])
    return (tips.get(position.chainNid) ?? 0) <= position.seq
  }

  #setTip(chainNid: number, seq: number): void {
    // Forgetting all costs one query per chain; the rooms that are written to come back at once.
    if (this.#tips.size > 50_000) this.#tips.clear()
    this.#tips.set(chainNid, seq)
  }
}

/** What an event lists of the events that authorize it: from room version 12 on, not the create event. */
export function listedAuthEvents(rules: RoomVersionRules, authState: StateLookup): StoredEvent[] {
  const events = [...authState.values()]
  return rules.roomIdIsCreateHash ? events.filter(({ event }) => event.type !== 'm.room.create') : events
}

/** State by key, as the authorization rules ask for it. */
export function asAuthState(lookup: StateLookup): AuthState {
  return { get: (type, stateKey) => lookup.get(stateKeyOf(type, stateKey))?.event }
}

/** The previous events of the next one, deepest first, and its depth. */
export function nextInGraph(extremities: readonly ForwardExtremity[]): {
  prev: readonly ForwardExtremity[]
  depth: number
} {
  const prev = extremities.slice(0, MAX_PREV_EVENTS)
  const deepest = prev.reduce((depth, extremity) => Math.max(depth, extremity.depth), 0)
  return { prev, depth: Math.min(deepest + 1, Number.MAX_SAFE_INTEGER) }
}

/** A server may name up to 20; fewer keep events small while extremities still go down with each event. */
const MAX_PREV_EVENTS = 10
