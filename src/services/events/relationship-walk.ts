import {
  digestChildren,
  relationshipOf,
  totalOf,
  type ChildrenDigest,
} from '../../protocol/event-relationships.js'
import type { EventId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventRelationshipsStore } from '../../storage/stores/event-relationships.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'

/** Which way, how far and in what order a thread is walked. */
export interface WalkRequest {
  readonly direction: 'up' | 'down'
  readonly maxDepth: number
  /** Children of one event that are followed. */
  readonly maxBreadth: number
  readonly limit: number
  readonly depthFirst: boolean
  readonly recentFirst: boolean
  readonly includeParent: boolean
  readonly includeChildren: boolean
}

/** For whom a thread is walked. */
export interface Walker {
  /** Those of the events of the room that they may see, in the same order. */
  filter(room: RoomRecord, events: readonly StoredEvent[]): Promise<readonly StoredEvent[]>
  /** Asks other servers for an event and those that it answers, or for those that answer it. */
  explore?(room: RoomRecord, eventId: EventId, direction: 'up' | 'down'): Promise<void>
}

export interface WalkResult {
  readonly events: readonly StoredEvent[]
  /** What is known of the children of each event that has any. */
  readonly digests: ReadonlyMap<EventId, ChildrenDigest>
  /** There is more than was asked for. */
  readonly isLimited: boolean
}

interface Parts {
  readonly relationships: EventRelationshipsStore
  readonly events: EventsStore
}

/** How far a walk goes at most, whatever was asked for. */
const MAX_DEPTH = 20
const MAX_BREADTH = 100
const MAX_LIMIT = 100
/** Events that are looked at for the sake of one answer. */
const MAX_SEEN = 1_000

/** The events that were found, in the order of levels, and who answers whom. */
interface Levels {
  readonly order: StoredEvent[]
  readonly next: Map<EventId, readonly StoredEvent[]>
  isCut: boolean
}

/**
 * Walks threads by `m.relationship`, a level with each statement.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/2836
 */
export class RelationshipWalk {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The event itself, which the walker may see, and what the request wants of the thread around it; each once. */
  async run(
    room: RoomRecord,
    start: StoredEvent,
    { request, walker }: { request: WalkRequest; walker: Walker },
  ): Promise<WalkResult> {
    const limit = clamp(request.limit, MAX_LIMIT)
    const found = new Map([[start.event.eventId, start]])
    const add = (events: readonly StoredEvent[]): boolean => {
      for (const stored of events) {
        if (found.has(stored.event.eventId)) continue
        if (found.size >= limit) return false
        found.set(stored.event.eventId, stored)
      }
      return true
    }
    let isWhole = true
    if (request.includeParent) isWhole = add((await this.#parents(room, [start], walker)).flat())
    if (request.includeChildren) {
      const options = { walker, recentFirst: request.recentFirst, perParent: limit + 1 }
      isWhole = add([...(await this.#children(room, [start], options)).values()].flat()) && isWhole
    }
    const levels = await this.#walk(room, start, { request, walker })
    isWhole = add(request.depthFirst ? depthFirst(start, levels) : levels.order) && isWhole
    const events = [...found.values()]
    return { events, digests: await this.#digests(room, events), isLimited: !isWhole || levels.isCut }
  }

  async #walk(
    room: RoomRecord,
    start: StoredEvent,
    { request, walker }: { request: WalkRequest; walker: Walker },
  ): Promise<Levels> {
    const { direction, recentFirst } = request
    const perParent = clamp(request.maxBreadth, MAX_BREADTH)
    const levels: Levels = { order: [], next: new Map(), isCut: false }
    const seen = new Set([start.event.eventId])
    let level: readonly StoredEvent[] = [start]
    for (let depth = 1; depth <= clamp(request.maxDepth, MAX_DEPTH) && level.length > 0; depth++) {
      const reached =
        direction === 'down'
          ? await this.#children(room, level, { walker, recentFirst, perParent })
          : toNext(level, await this.#parents(room, level, walker))
      for (const [id, events] of reached) levels.next.set(id, events)
      const fresh = [...reached.values()].flat().filter(({ event }) => !seen.has(event.eventId))
      level = fresh.slice(0, MAX_SEEN - seen.size)
      if (level.length < fresh.length) levels.isCut = true
      for (const { event } of level) seen.add(event.eventId)
      levels.order.push(...level)
    }
    return levels
  }

  /** What each event answers, in the order of the events; what nobody has is left out. */
  async #parents(
    room: RoomRecord,
    events: readonly StoredEvent[],
    walker: Walker,
  ): Promise<(readonly StoredEvent[])[]> {
    const ids = events.map(({ event }) => relationshipOf(event)?.parentId)
    const wanted = [...new Set(ids.flatMap((id) => id ?? []))]
    const q = this.#db.reader
    let held = await this.#parts.events.getByIds(q, wanted)
    const missing = wanted.filter((id) => !held.has(id))
    if (missing.length > 0 && walker.explore) {
      for (const id of missing) await walker.explore(room, id, 'up')
      held = await this.#parts.events.getByIds(q, wanted)
    }
    const ofRoom = [...held.values()].filter(({ roomNid }) => roomNid === room.roomNid)
    const visible = new Map(
      (await walker.filter(room, ofRoom)).map((stored) => [stored.event.eventId, stored]),
    )
    return ids.map((id) => (id === undefined ? [] : [visible.get(id) ?? []].flat()))
  }

  /** What answers each event. */
  async #children(
    room: RoomRecord,
    parents: readonly StoredEvent[],
    { walker, ...order }: { walker: Walker; recentFirst: boolean; perParent: number },
  ): Promise<Map<EventId, readonly StoredEvent[]>> {
    if (walker.explore) {
      for (const id of await this.#unexplored(room, parents)) await walker.explore(room, id, 'down')
    }
    const ids = parents.map(({ event }) => event.eventId)
    const children = await this.#parts.relationships.listChildren(this.#db.reader, room.roomNid, ids, order)
    const visible = new Set(await walker.filter(room, [...children.values()].flat()))
    return new Map(
      ids.flatMap((id) => {
        const ofParent = children.get(id)?.filter((stored) => visible.has(stored)) ?? []
        return ofParent.length === 0 ? [] : [[id, ofParent] as const]
      }),
    )
  }

  /** Those of the events of whose children other servers know more. */
  async #unexplored(room: RoomRecord, events: readonly StoredEvent[]): Promise<EventId[]> {
    const told = await this.#parts.relationships.getTold(
      this.#db.reader,
      events.map(({ eventNid }) => eventNid),
    )
    if (told.size === 0) return []
    const own = await this.#ownDigests(room, events)
    return events.flatMap(({ eventNid, event }) => {
      const others = told.get(eventNid)
      return others !== undefined && isMore(others, own.get(event.eventId)) ? event.eventId : []
    })
  }

  async #digests(room: RoomRecord, events: readonly StoredEvent[]): Promise<Map<EventId, ChildrenDigest>> {
    const digests = await this.#ownDigests(room, events)
    const told = await this.#parts.relationships.getTold(
      this.#db.reader,
      events.map(({ eventNid }) => eventNid),
    )
    for (const { eventNid, event } of events) {
      const others = told.get(eventNid)
      if (others && isMore(others, digests.get(event.eventId))) digests.set(event.eventId, others)
    }
    return digests
  }

  async #ownDigests(room: RoomRecord, events: readonly StoredEvent[]): Promise<Map<EventId, ChildrenDigest>> {
    const ids = events.map(({ event }) => event.eventId)
    const kinds = await this.#parts.relationships.listKinds(this.#db.reader, room.roomNid, ids)
    return new Map([...kinds].map(([id, children]) => [id, digestChildren(children)]))
  }
}

/** What is less than one, or no limit at all, is as much as is ever given. */
function clamp(wanted: number, most: number): number {
  return wanted < 1 ? most : Math.min(wanted, most)
}

function isMore(others: ChildrenDigest, own: ChildrenDigest | undefined): boolean {
  return own === undefined || totalOf(others) > totalOf(own)
}

function toNext(
  level: readonly StoredEvent[],
  parents: readonly (readonly StoredEvent[])[],
): Map<EventId, readonly StoredEvent[]> {
  return new Map(level.map(({ event }, index) => [event.eventId, parents[index] ?? []]))
}

/** What was found, each event before its siblings. */
function depthFirst(start: StoredEvent, { order, next }: Levels): StoredEvent[] {
  const found = new Set(order)
  const sorted: StoredEvent[] = []
  const stack = [...(next.get(start.event.eventId) ?? [])].reverse()
  for (let stored = stack.pop(); stored !== undefined; stored = stack.pop()) {
    if (!found.delete(stored)) continue
    sorted.push(stored)
    stack.push(...[...(next.get(stored.event.eventId) ?? [])].reverse())
  }
  return sorted
}
