import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { ClientEventFormat } from '../../protocol/client-event.js'
import { selectFields } from '../../protocol/event-fields.js'
import type { UserId } from '../../protocol/ids.js'
import { formatPaginationToken } from '../../protocol/pagination-token.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents } from '../events/client-events.js'
import type { RoomStateLoader, StateRequest } from './room-state-loader.js'
import type { SyncFrame } from './sync-frame.js'
import type { Timeline, TimelineLoader } from './timeline-loader.js'

/** A room whose timeline and state are to be told. */
export interface RoomSpec {
  readonly room: RoomRecord
  /** What the client has seen of the timeline; undefined: nothing. */
  readonly after: number | undefined
  readonly upTo: number
  /** Whether the user is in the room. */
  readonly isMember: boolean
  readonly state: StateRequest['kind']
  /** Where the state ends, if that is before the timeline does. */
  readonly stateUpTo?: number
  readonly snapshotNid?: number | null
  /** Whose member events go along when members are loaded lazily. */
  readonly heroes: readonly UserId[]
}

/** The timeline and state of one room. */
export interface RoomContent {
  readonly timeline: Timeline
  readonly state: readonly StoredEvent[]
}

interface Parts {
  readonly db: Database
  readonly events: EventsStore
  readonly timelines: TimelineLoader
  readonly states: RoomStateLoader
  readonly clientEvents: ClientEvents
}

const MEMBER = 'm.room.member'
/** Beyond this many events the database is the faster one to ask. */
const MAX_LOOKED_THROUGH = 500

/** Timelines and state of many rooms at once, and how they are written. */
export class RoomContents {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** What of the rooms passes the filter, by nid. */
  async load(frame: SyncFrame, specs: readonly RoomSpec[]): Promise<Map<number, RoomContent>> {
    const { request, ignored, tail } = frame
    const { viewer, filter } = request
    const timelines = await this.#parts.timelines.load(
      specs.map(({ room, after, upTo, isMember }) => ({ roomNid: room.roomNid, after, upTo, isMember })),
      { userId: viewer.userId, filter: filter.room.timeline, ignored, tail },
    )
    const { state: stateFilter } = filter.room
    const states = stateFilter.passesNothing
      ? new Map<number, StoredEvent[]>()
      : await this.#parts.states.load(
          specs.map((spec) => stateRequest(frame, spec, timelineOf(timelines, spec))),
          { afterTimeline: request.stateAfterNames.length > 0, deltas: tail?.deltas },
        )
    return new Map(
      specs.map((spec) => {
        const { roomNid } = spec.room
        const timeline = timelineOf(timelines, spec)
        const state = (states.get(roomNid) ?? []).filter(({ event }) => stateFilter.matches(event))
        if (stateFilter.lazyLoadMembers) rememberMembers(frame, roomNid, [...state, ...timeline.events])
        return [roomNid, { timeline, state }]
      }),
    )
  }

  /** The `timeline` and `state` (or what stands in its place) of each room. */
  async serialize(
    frame: SyncFrame,
    contents: ReadonlyMap<number, RoomContent>,
  ): Promise<Map<number, JsonObject>> {
    const all = [...contents.values()]
    const [timelines, states] = await Promise.all([
      this.#write(
        frame,
        all.map(({ timeline }) => timeline.events),
        'timeline',
      ),
      this.#write(
        frame,
        all.map(({ state }) => state),
        'state',
      ),
    ])
    const { stateAfterNames } = frame.request
    const stateNames = stateAfterNames.length > 0 ? stateAfterNames : ['state']
    return new Map(
      [...contents].map(([roomNid, { timeline }], index) => {
        const state = { events: states[index] ?? [] }
        const { limited, prevBatch } = timeline
        return [
          roomNid,
          {
            timeline: { events: timelines[index] ?? [], prev_batch: prevBatch, limited },
            ...Object.fromEntries(stateNames.map((name) => [name, state])),
          },
        ]
      }),
    )
  }

  /**
   * Whether anything can relate to these events: what does comes after them. Where the end of the stream is in memory,
   * that is known without asking the database.
   */
  async #mayBeRelatedTo({ tail }: SyncFrame, events: readonly StoredEvent[]): Promise<boolean> {
    if (tail === undefined) return true
    const start = tail.events[0]?.streamOrdering ?? Infinity
    if (events.some(({ streamOrdering }) => (streamOrdering ?? 0) < start)) return true
    const rooms = new Set(events.map(({ roomNid }) => roomNid))
    const nids = tail.events.filter(({ roomNid }) => rooms.has(roomNid)).map(({ eventNid }) => eventNid)
    if (nids.length > MAX_LOOKED_THROUGH) return true
    const candidates = await this.#parts.events.getByNids(this.#parts.db.reader, nids)
    const ids = new Set(events.map(({ event }) => event.eventId))
    return [...candidates.values()].some(({ relatesTo }) => relatesTo !== null && ids.has(relatesTo))
  }

  /** Many lists of events in one go. */
  async #write(
    frame: SyncFrame,
    lists: readonly (readonly StoredEvent[])[],
    purpose: 'timeline' | 'state',
  ): Promise<JsonObject[][]> {
    const { viewer, filter } = frame.request
    const { eventFormat, eventFields } = filter
    const format: ClientEventFormat = eventFormat === 'federation' ? 'federation' : 'sync'
    const all = lists.flat()
    const bundle = purpose === 'timeline' && (await this.#mayBeRelatedTo(frame, all))
    const written = await this.#parts.clientEvents.serialize(viewer, all, { format, purpose, bundle })
    const events = eventFields ? written.map((event) => selectFields(event, eventFields)) : written
    let start = 0
    return lists.map(({ length }) => events.slice(start, (start += length)))
  }
}

/** A room of which there is nothing to tell. */
export function emptyContent(position: number): RoomContent {
  const prevBatch = formatPaginationToken({ streamOrdering: position })
  return { timeline: { events: [], limited: false, prevBatch }, state: [] }
}

function timelineOf(timelines: ReadonlyMap<number, Timeline>, { room, upTo }: RoomSpec): Timeline {
  return timelines.get(room.roomNid) ?? emptyContent(upTo).timeline
}

function stateRequest(frame: SyncFrame, spec: RoomSpec, timeline: Timeline): StateRequest {
  const { room, upTo, stateUpTo = upTo, state, snapshotNid } = spec
  return {
    roomNid: room.roomNid,
    kind: state,
    after: frame.since?.events ?? 0,
    upTo: stateUpTo,
    ...(snapshotNid !== undefined && { snapshotNid }),
    timeline,
    members: wantedMembers(frame, spec, timeline),
  }
}

/**
 * Who has to be known to show the room: senders, heroes, and with all of the state the user as well. Those that the
 * client has been told of already are left out where only changes are told.
 */
function wantedMembers(
  frame: SyncFrame,
  spec: RoomSpec,
  timeline: Timeline,
): ReadonlySet<string> | undefined {
  const { state, viewer } = { state: frame.request.filter.room.state, viewer: frame.request.viewer }
  const isWhole = spec.state !== 'changes'
  if (!state.lazyLoadMembers) return isWhole ? undefined : new Set()
  const wanted = new Set<string>(timeline.events.map(({ event }) => event.sender))
  for (const hero of spec.heroes) wanted.add(hero)
  if (isWhole) {
    wanted.add(viewer.userId)
    for (const { event } of timeline.events) if (event.type === MEMBER) wanted.add(event.stateKey ?? '')
    return wanted
  }
  if (state.includeRedundantMembers) return wanted
  const { roomNid } = spec.room
  return new Set([...wanted].filter((userId) => !frame.lazyMembers.has(roomNid, userId)))
}

function rememberMembers({ lazyMembers }: SyncFrame, roomNid: number, events: readonly StoredEvent[]): void {
  for (const { event } of events) {
    if (event.type === MEMBER && event.stateKey !== undefined) lazyMembers.add(roomNid, event.stateKey)
  }
}
