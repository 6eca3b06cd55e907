import type { EventId } from '../../protocol/ids.js'
import { coverPosition, coverReach, type AuthReach } from '../../storage/auth-reach.js'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'

interface Parts {
  readonly graph: EventGraphStore
  readonly events: EventsStore
}

/** Auth chains of events, by what the chains cover: the graph is never walked. */
export class AuthChains {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** All that authorizes an event, directly or not, and the create event. */
  async ofEvent(room: RoomRecord, { event }: StoredEvent): Promise<StoredEvent[]> {
    const authEvents = await this.#parts.events.getByIds(this.#db.reader, event.authEventIds)
    const nids = [...authEvents.values()].map(({ eventNid }) => eventNid)
    return this.#list(room, await this.#withChains(nids), event.eventId)
  }

  /** All that authorizes any of some events. */
  async ofEvents(room: RoomRecord, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
    const ids = [...new Set(events.flatMap(({ event }) => event.authEventIds))]
    const authEvents = await this.#parts.events.getByIds(this.#db.reader, ids)
    const nids = [...authEvents.values()].map(({ eventNid }) => eventNid)
    return this.#list(room, await this.#withChains(nids), undefined)
  }

  /** The auth chains of the events of a state; they hold what is in the state too where it authorizes more of it. */
  async ofState(room: RoomRecord, state: readonly StoredEvent[]): Promise<StoredEvent[]> {
    const nids = await this.listNids(state.map(({ eventNid }) => eventNid))
    return this.#list(room, [...nids], undefined)
  }

  /** As `ofState`, by nid, and the IDs alone. */
  async idsOfState(room: RoomRecord, stateNids: readonly number[]): Promise<EventId[]> {
    const { events } = this.#parts
    const q = this.#db.reader
    const ids = new Set((await events.listIds(q, [...(await this.listNids(stateNids))])).values())
    const createId = createIdOf(room)
    if (createId !== undefined && (await events.getNids(q, [createId])).size > 0) ids.add(createId)
    return [...ids]
  }

  /**
   * The nids of all that authorizes any of some events, directly or not, in the order in which this server has learnt of
   * them: who takes them in as they come has seen what authorizes an event before the event, and the newest piece of
   * state last.
   */
  async listNids(eventNids: readonly number[]): Promise<Set<number>> {
    const positions = await this.#parts.graph.getAuthPositions(this.#db.reader, eventNids)
    const reach = new Map<number, number>()
    for (const position of positions.values()) coverReach(reach, position.reach)
    return this.#covered(reach)
  }

  /** Some events and all that authorizes them, by nid. */
  async #withChains(nids: readonly number[]): Promise<number[]> {
    const positions = await this.#parts.graph.getAuthPositions(this.#db.reader, nids)
    const reach = new Map<number, number>()
    for (const position of positions.values()) coverPosition(reach, position)
    return [...(await this.#covered(reach))]
  }

  async #covered(reach: AuthReach): Promise<Set<number>> {
    const ranges = [...reach].map(([chainNid, last]) => ({ chainNid, first: 0, last }))
    if (ranges.length === 0) return new Set()
    const positions = await this.#parts.graph.listChainRanges(this.#db.reader, ranges)
    return new Set([...positions.keys()].sort((a, b) => a - b))
  }

  async #list(
    room: RoomRecord,
    nids: readonly number[],
    except: EventId | undefined,
  ): Promise<StoredEvent[]> {
    const q = this.#db.reader
    const events = await this.#parts.events.getByNids(q, nids)
    const chain = nids.flatMap((nid) => events.get(nid) ?? []).filter(({ event }) => event.eventId !== except)
    const createId = createIdOf(room)
    if (createId === undefined || except === createId) return chain
    if (chain.some(({ event }) => event.eventId === createId)) return chain
    const create = await this.#parts.events.get(q, createId)
    return create ? [create, ...chain] : chain
  }
}

/** The create event where no event names it: whoever is to judge them needs it all the same. */
function createIdOf({ roomId, rules }: RoomRecord): EventId | undefined {
  return rules.roomIdIsCreateHash ? (`$${roomId.slice(1)}` as EventId) : undefined
}
