import type { Database } from '../../storage/database.js'
import { coverPosition, type AuthChainPosition } from '../../storage/auth-reach.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { TakeoverStore } from '../../storage/stores/takeover.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import { pushTo } from '../../util/group-by.js'

export interface AuthChainsParts {
  readonly db: Database
  readonly graph: EventGraphStore
  readonly takeover: TakeoverStore
  readonly chainIds: IdAllocator
}

/** A state event that wants its place. */
export interface UnplacedEvent {
  readonly eventNid: number
  readonly key: StateKey
  /** Those of its auth events that are held. */
  readonly authNids: readonly number[]
}

interface PlacedEvent {
  readonly position: AuthChainPosition
  readonly key: StateKey
}

/**
 * Gives the state events of one room their places in the auth chains, by the rule of `EventAssembler`: an event extends
 * the chain of the one that it replaces when that is the chain's last. Events wait for their auth events, in whatever
 * order they come.
 */
export class RoomAuthChains {
  readonly #parts: AuthChainsParts
  readonly #placed = new Map<number, PlacedEvent>()
  readonly #tips = new Map<number, number>()
  readonly #waiting = new Map<number, UnplacedEvent>()
  /** By auth event: who waits for it. */
  readonly #dependents = new Map<number, number[]>()

  constructor(parts: AuthChainsParts) {
    this.#parts = parts
  }

  /** Those of these events, and of those that wait, that can be placed now. */
  async place(events: readonly UnplacedEvent[]): Promise<Map<number, AuthChainPosition>> {
    await this.#learn(events)
    const result = new Map<number, AuthChainPosition>()
    for (const event of events) {
      this.#waiting.set(event.eventNid, event)
      for (const nid of event.authNids) {
        if (this.#placed.has(nid)) continue
        pushTo(this.#dependents, nid, event.eventNid)
      }
    }
    const isReady = ({ authNids }: UnplacedEvent): boolean => authNids.every((nid) => this.#placed.has(nid))
    for (const { eventNid } of events) await this.#placeFrom(eventNid, isReady, result)
    return result
  }

  /** Those that wait for auth events which will not come: as if they named only others. */
  async placeRest(): Promise<Map<number, AuthChainPosition>> {
    const result = new Map<number, AuthChainPosition>()
    const isReady = ({ authNids }: UnplacedEvent): boolean => !authNids.some((nid) => this.#waiting.has(nid))
    for (const eventNid of [...this.#waiting.keys()]) await this.#placeFrom(eventNid, isReady, result)
    // What authorizes itself in a circle, nobody can have accepted.
    for (const event of [...this.#waiting.values()]) await this.#place(event, result)
    return result
  }

  /** Places an event that is ready, and then those that become ready by it. */
  async #placeFrom(
    first: number,
    isReady: (event: UnplacedEvent) => boolean,
    result: Map<number, AuthChainPosition>,
  ): Promise<void> {
    const candidates = [first]
    for (let nid = candidates.pop(); nid !== undefined; nid = candidates.pop()) {
      const event = this.#waiting.get(nid)
      if (!event || !isReady(event)) continue
      await this.#place(event, result)
      candidates.push(...(this.#dependents.get(nid) ?? []))
      this.#dependents.delete(nid)
    }
  }

  async #place(
    { eventNid, key, authNids }: UnplacedEvent,
    result: Map<number, AuthChainPosition>,
  ): Promise<void> {
    const reach = new Map<number, number>()
    let replaced: AuthChainPosition | undefined
    for (const nid of authNids) {
      const auth = this.#placed.get(nid)
      if (!auth) continue
      coverPosition(reach, auth.position)
      if (auth.key === key) replaced = auth.position
    }
    const extended = replaced !== undefined && this.#tips.get(replaced.chainNid) === replaced.seq
    const position =
      extended && replaced
        ? { chainNid: replaced.chainNid, seq: replaced.seq + 1, reach }
        : { chainNid: await this.#parts.chainIds.next(), seq: 1, reach }
    this.#tips.set(position.chainNid, position.seq)
    this.#placed.set(eventNid, { position, key })
    this.#waiting.delete(eventNid)
    result.set(eventNid, position)
  }

  /** Reads where auth events stand that an earlier run has placed. */
  async #learn(events: readonly UnplacedEvent[]): Promise<void> {
    const { db, graph, takeover } = this.#parts
    const own = new Set(events.map(({ eventNid }) => eventNid))
    const unknown = new Set<number>()
    for (const { authNids } of events) {
      for (const nid of authNids) {
        if (!this.#placed.has(nid) && !this.#waiting.has(nid) && !own.has(nid)) unknown.add(nid)
      }
    }
    if (unknown.size === 0) return
    const positions = await graph.getAuthPositions(db.reader, [...unknown])
    if (positions.size === 0) return
    const keys = await takeover.listStateKeys(db.reader, [...positions.keys()])
    const chains = new Set([...positions.values()].map(({ chainNid }) => chainNid))
    const tips = await graph.getChainTips(
      db.reader,
      [...chains].filter((chainNid) => !this.#tips.has(chainNid)),
    )
    for (const [chainNid, seq] of tips) this.#tips.set(chainNid, seq)
    for (const [nid, position] of positions) {
      const key = keys.get(nid)
      if (key) this.#placed.set(nid, { position, key: stateKeyOf(key.type, key.stateKey) })
    }
  }
}
