import type { Database, Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { TimelinesStore } from '../../storage/stores/timelines.js'
import type { EventFilter } from '../../protocol/event-filter.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import { formatPaginationToken, type PaginationToken } from '../../protocol/pagination-token.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { TailSlice } from '../events/event-tail.js'
import { pushTo } from '../../util/group-by.js'

/** The end of a room's timeline that is wanted. */
export interface TimelineRequest {
  readonly roomNid: number
  /** What the client has seen already; undefined: nothing, and the timeline may reach back as far as it takes. */
  readonly after: number | undefined
  readonly upTo: number
  /** Whether the user is in the room. */
  readonly isMember?: boolean
}

export interface Timeline {
  /** Oldest first. */
  readonly events: readonly StoredEvent[]
  /** Whether there are more before these that the client has not seen. */
  readonly limited: boolean
  /** Where earlier events are. */
  readonly prevBatch: string
}

export interface TimelineView {
  readonly userId: UserId
  readonly filter: EventFilter
  readonly ignored: ReadonlySet<UserId>
  /** Everything after the `after` of all requests that have one, where that is in memory. */
  readonly tail: TailSlice | undefined
}

export interface TimelineOptions {
  readonly serverName: ServerName
  /** `filter_timeline_limit`: events of a room at most. Undefined: as many as the server gives at all. */
  readonly maxLimit: number | undefined
}

interface Parts {
  readonly timelines: TimelinesStore
  readonly events: EventsStore
  readonly visibility: EventVisibility
  readonly currentState: Pick<CurrentStateStore, 'pick'>
}

interface Progress {
  readonly request: TimelineRequest
  /** Newest first. */
  readonly taken: StoredEvent[]
  /** The oldest event that was looked at. */
  last: StoredEvent | undefined
  exhausted: boolean
}

/** When the filter does not say: https://spec.matrix.org/latest/client-server-api/#filtering leaves it to the server. */
const DEFAULT_LIMIT = 10
/** An answer has to fit into memory. */
const MAX_LIMIT = 1_000
/** How often more is read when much of it is not to be shown. */
const MAX_ROUNDS = 5
const MIN_BATCH = 20

/** Reads the ends of the timelines of many rooms at once, as one user may see them. */
export class TimelineLoader {
  readonly #db: Database
  readonly #parts: Parts
  readonly #options: TimelineOptions

  constructor(db: Database, parts: Parts, options: TimelineOptions) {
    this.#db = db
    this.#parts = parts
    this.#options = options
  }

  /** The timeline of each request's room, by nid: a few statements however many rooms. */
  async load(requests: readonly TimelineRequest[], view: TimelineView): Promise<Map<number, Timeline>> {
    const limit = Math.min(view.filter.limit ?? DEFAULT_LIMIT, this.#options.maxLimit ?? MAX_LIMIT, MAX_LIMIT)
    const all = requests.map((request): Progress => ({
      request,
      taken: [],
      last: undefined,
      exhausted: false,
    }))
    if (!view.filter.passesNothing) await this.#fill(all, view, limit)
    const afterGaps = await this.#afterGaps(all, limit)
    return new Map(all.map((progress) => [progress.request.roomNid, toTimeline(progress, limit, afterGaps)]))
  }

  async #fill(all: readonly Progress[], view: TimelineView, limit: number): Promise<void> {
    const tail = view.tail && new TailIndex(view.tail)
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const open = all.filter(({ exhausted, taken }) => !exhausted && taken.length <= limit)
      if (open.length === 0) return
      const count = round === 0 ? limit + 1 : Math.max(MIN_BATCH, limit * 2 ** round)
      const batches = await this.#fetch(open, count, tail)
      const candidates = [...batches.values()].flat().filter((stored) => passes(stored, view.filter))
      const { userId, ignored } = view
      const visible = await this.#parts.visibility.filter(userId, candidates, { ignored })
      const own = candidates.filter((stored) => isOwnMember(stored, userId))
      const present = await this.#presentState(open, candidates, new Set([...own, ...visible].map(nidOf)))
      const shown = new Map([...own, ...present, ...visible].map(byNid))
      for (const progress of open) {
        const batch = batches.get(progress) ?? []
        progress.exhausted = batch.length < count
        progress.last = batch.at(-1)
        progress.taken.push(...batch.flatMap(({ eventNid }) => shown.get(eventNid) ?? []))
      }
    }
  }

  /**
   * What is the state of a room now is shown to its members though it was set while its history was not for them, as all
   * servers do: clients take for the state what comes last, and older state of the same name may be for them.
   */
  async #presentState(
    open: readonly Progress[],
    candidates: readonly StoredEvent[],
    shown: ReadonlySet<number>,
  ): Promise<StoredEvent[]> {
    const rooms = new Set(
      open.filter(({ request }) => request.isMember === true).map(({ request }) => request.roomNid),
    )
    const hidden = candidates.flatMap((stored) => {
      const { event, eventNid, roomNid } = stored
      const isAsked = rooms.has(roomNid) && !shown.has(eventNid) && isAccepted(stored)
      return isAsked && event.stateKey !== undefined ? [{ stored, stateKey: event.stateKey }] : []
    })
    if (hidden.length === 0) return []
    const present = await this.#parts.currentState.pick(
      this.#db.reader,
      hidden.map(({ stored, stateKey }) => ({ roomNid: stored.roomNid, type: stored.event.type, stateKey })),
    )
    const nids = new Set(present.map(nidOf))
    return hidden.flatMap(({ stored }) => (nids.has(stored.eventNid) ? [stored] : []))
  }

  /** The next `count` events of each room, newest first. */
  async #fetch(
    open: readonly Progress[],
    count: number,
    tail: TailIndex | undefined,
  ): Promise<Map<Progress, StoredEvent[]>> {
    const q = this.#db.reader
    const bounded = open.filter(({ request }) => request.after !== undefined)
    const history = open.filter(({ request }) => request.after === undefined)
    const nids = new Map([
      ...(tail ? fromTail(tail, bounded, count) : await this.#latest(q, bounded, count)),
      ...(await this.#history(q, history, count)),
    ])
    const events = await this.#parts.events.getByNids(q, [...nids.values()].flat())
    return new Map(
      open.map((progress) => {
        const found = (nids.get(progress.request.roomNid) ?? []).flatMap((nid) => events.get(nid) ?? [])
        return [progress, found.sort(progress.request.after === undefined ? byDepth : byPosition)]
      }),
    )
  }

  async #latest(q: Query, open: readonly Progress[], count: number): Promise<Map<number, number[]>> {
    if (open.length === 0) return new Map()
    const windows = open.map(({ request, last }) => ({
      roomNid: request.roomNid,
      after: request.after ?? 0,
      upTo: upperBound(request, last),
    }))
    return this.#parts.timelines.listLatest(q, windows, count)
  }

  async #history(q: Query, open: readonly Progress[], count: number): Promise<Map<number, number[]>> {
    if (open.length === 0) return new Map()
    const windows = open.map(({ request, last }) => ({
      roomNid: request.roomNid,
      upTo: request.upTo,
      before: last && { depth: last.event.depth, streamOrdering: last.streamOrdering ?? 0 },
    }))
    return this.#parts.timelines.listHistory(q, windows, count)
  }

  /**
   * Events before which others are missing, in timelines that continue what the client has: it must not take them for a
   * direct continuation. Only what other servers send can have gaps.
   */
  async #afterGaps(all: readonly Progress[], limit: number): Promise<ReadonlySet<number>> {
    const candidates = all.filter(
      ({ request, taken }) =>
        request.after !== undefined &&
        taken.slice(0, limit).some(({ event }) => serverNameOf(event.sender) !== this.#options.serverName),
    )
    if (candidates.length === 0) return NOTHING
    return this.#parts.timelines.listAfterGaps(
      this.#db.reader,
      candidates.map(({ request }) => request.roomNid),
      candidates.flatMap(({ taken }) => taken.slice(0, limit).map(({ eventNid }) => eventNid)),
    )
  }
}

const NOTHING: ReadonlySet<number> = new Set()

/** The events of each room in a slice of the stream, oldest first. */
class TailIndex {
  readonly #rooms = new Map<number, { eventNid: number; streamOrdering: number }[]>()

  constructor({ events }: TailSlice) {
    for (const { roomNid, eventNid, streamOrdering } of events) {
      pushTo(this.#rooms, roomNid, { eventNid, streamOrdering })
    }
  }

  /** The newest in `(after, upTo]`, at most `count`. */
  latest(roomNid: number, range: { after: number; upTo: number }, count: number): number[] {
    const rows = this.#rooms.get(roomNid) ?? []
    const inRange = rows.filter(
      ({ streamOrdering }) => streamOrdering > range.after && streamOrdering <= range.upTo,
    )
    return count === 0 ? [] : inRange.slice(-count).map(({ eventNid }) => eventNid)
  }
}

function fromTail(tail: TailIndex, open: readonly Progress[], count: number): Map<number, number[]> {
  return new Map(
    open.map(({ request, last }) => {
      const range = { after: request.after ?? 0, upTo: upperBound(request, last) }
      return [request.roomNid, tail.latest(request.roomNid, range, count)]
    }),
  )
}

function upperBound(request: TimelineRequest, last: StoredEvent | undefined): number {
  return last === undefined ? request.upTo : Math.min(request.upTo, (last.streamOrdering ?? 0) - 1)
}

function byPosition(a: StoredEvent, b: StoredEvent): number {
  return (b.streamOrdering ?? 0) - (a.streamOrdering ?? 0)
}

function byDepth(a: StoredEvent, b: StoredEvent): number {
  return b.event.depth - a.event.depth || byPosition(a, b)
}

function passes({ event }: StoredEvent, filter: EventFilter): boolean {
  return filter.matches(event)
}

/** Users see what happens to their own membership even where the room's history is not for them. */
function isOwnMember(stored: StoredEvent, userId: UserId): boolean {
  const { event } = stored
  return isAccepted(stored) && event.type === 'm.room.member' && event.stateKey === userId
}

function isAccepted({ rejected, softFailed }: StoredEvent): boolean {
  return rejected === null && !softFailed
}

function nidOf({ eventNid }: { readonly eventNid: number }): number {
  return eventNid
}

function toTimeline(progress: Progress, limit: number, afterGaps: ReadonlySet<number>): Timeline {
  const { request, taken, exhausted } = progress
  const newest = taken.slice(0, limit)
  const gap = newest.findIndex(({ eventNid }) => afterGaps.has(eventNid))
  const events = (gap === -1 ? newest : newest.slice(0, gap + 1)).reverse()
  const [first] = events
  const filtersAll = taken.length === 0 && progress.last === undefined
  return {
    events,
    limited: gap !== -1 || taken.length > limit || (!exhausted && !filtersAll),
    prevBatch: formatPaginationToken(
      first === undefined ? { streamOrdering: request.upTo } : before(first, request),
    ),
  }
}

/**
 * The place before an event in the order of its timeline. Where that is the order of the stream, as in timelines that
 * continue what the client has, events that came before it may stand after it in the graph: of another branch.
 */
function before({ event, streamOrdering }: StoredEvent, { after }: TimelineRequest): PaginationToken {
  const position = (streamOrdering ?? 0) - 1
  return after === undefined ? { depth: event.depth, streamOrdering: position } : { streamOrdering: position }
}

function byNid(stored: StoredEvent): [number, StoredEvent] {
  return [stored.eventNid, stored]
}
