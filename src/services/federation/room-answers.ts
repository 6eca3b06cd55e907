import { forbidden, notFound } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { EventId, RoomId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import type { StateSnapshotsStore } from '../../storage/stores/state-snapshots.js'
import type { Direction } from '../../storage/timeline-range.js'
import type { Clock } from '../../util/clock.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { RoomState } from '../events/room-state.js'
import type { AuthChains } from './auth-chains.js'
import type { EventWalk } from './event-walk.js'
import type { RoomGate } from './room-gate.js'
import type { ServerVisibility } from './server-visibility.js'

interface Parts {
  readonly gate: RoomGate
  readonly chains: AuthChains
  readonly walk: EventWalk
  readonly visibility: ServerVisibility
  readonly roomState: RoomState
  readonly events: EventsStore
  readonly rooms: RoomsStore
  readonly snapshots: StateSnapshotsStore
  readonly timeline: RoomTimelineStore
  readonly clock: Clock
  readonly serverName: ServerName
  readonly partialRooms: Pick<PartialRooms, 'isPartial'>
}

/** A room's state before an event, and all that authorizes it. */
export interface StateAnswer {
  readonly state: readonly StoredEvent[]
  readonly authChain: readonly StoredEvent[]
}

/** The same by IDs. */
export interface StateIdsAnswer {
  readonly state: readonly EventId[]
  readonly authChain: readonly EventId[]
}

export interface MissingEventsRequest {
  readonly earliest: readonly EventId[]
  readonly latest: readonly EventId[]
  readonly limit: number
  readonly minDepth: number
}

const MAX_BACKFILL = 100
const MAX_MISSING = 50
/** Events that are looked at when the closest in time are not for the server to see. */
const MAX_CANDIDATES = 500

/**
 * What this server tells others about rooms that they are in too. Every method throws 404 `M_NOT_FOUND` for rooms and
 * events that are not known and 403 `M_FORBIDDEN` to servers that may not ask.
 */
export class RoomAnswers {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** What stands around the PDUs of an answer that has the form of a transaction. */
  frame(): { origin: ServerName; origin_server_ts: number } {
    return { origin: this.#parts.serverName, origin_server_ts: this.#parts.clock.now() }
  }

  /** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1eventeventid */
  async event(server: ServerName, eventId: EventId): Promise<Event> {
    const q = this.#db.reader
    const stored = await this.#parts.events.get(q, eventId)
    const room = stored && (await this.#parts.rooms.getByNids(q, [stored.roomNid])).get(stored.roomNid)
    if (!stored || !room || stored.rejected !== null) throw notFound('Event not found')
    await this.#parts.gate.require(server, room)
    const [shown] = await this.#parts.visibility.show(server, room, [stored])
    return shown!
  }

  /** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1stateroomid */
  async stateBefore(server: ServerName, roomId: RoomId, eventId: EventId): Promise<StateAnswer> {
    const { room, snapshotNid } = await this.#placeOf(server, roomId, eventId)
    const state = await this.#parts.roomState.getStateAt(snapshotNid)
    return { state, authChain: await this.#parts.chains.ofState(room, state) }
  }

  /**
   * As `stateBefore`, without reading the events.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1state_idsroomid
   */
  async stateIdsBefore(server: ServerName, roomId: RoomId, eventId: EventId): Promise<StateIdsAnswer> {
    const { room, snapshotNid } = await this.#placeOf(server, roomId, eventId)
    const { events, snapshots, chains } = this.#parts
    const nids = [...(await snapshots.get(this.#db.reader, snapshotNid)).events]
    const [state, authChain] = await Promise.all([
      events.listIds(this.#db.reader, nids),
      chains.idsOfState(room, nids),
    ])
    return { state: [...state.values()], authChain }
  }

  /** The state before an event of which others may know all. */
  async #placeOf(
    server: ServerName,
    roomId: RoomId,
    eventId: EventId,
  ): Promise<{ room: RoomRecord; snapshotNid: number }> {
    const { room, stored } = await this.#parts.gate.requireEvent(server, roomId, eventId)
    // What is not known whole must not be taken for the whole.
    if (this.#parts.partialRooms.isPartial(room.roomNid)) throw forbidden('The state is not known whole yet')
    if (stored.stateBefore === null) throw notFound('The state at the event is not known')
    return { room, snapshotNid: stored.stateBefore }
  }

  /** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1event_authroomideventid */
  async authChain(server: ServerName, roomId: RoomId, eventId: EventId): Promise<StoredEvent[]> {
    const { room, stored } = await this.#parts.gate.requireEvent(server, roomId, eventId)
    return this.#parts.chains.ofEvent(room, stored)
  }

  /**
   * Events and what came before them, the newest first.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1backfillroomid
   */
  async backfill(
    server: ServerName,
    roomId: RoomId,
    { from, limit }: { from: readonly EventId[]; limit: number },
  ): Promise<Event[]> {
    const room = await this.#parts.gate.requireRoom(server, roomId)
    const walked = await this.#parts.walk.run(room, { from, limit: Math.min(limit, MAX_BACKFILL) })
    return this.#parts.visibility.show(server, room, walked)
  }

  /**
   * What lies between events, the oldest first.
   * https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1get_missing_eventsroomid
   */
  async missingEvents(
    server: ServerName,
    roomId: RoomId,
    { earliest, latest, limit, minDepth }: MissingEventsRequest,
  ): Promise<Event[]> {
    const room = await this.#parts.gate.requireRoom(server, roomId)
    const ends = await this.#parts.events.getByIds(this.#db.reader, latest)
    const from = [...ends.values()].flatMap(({ roomNid, event }) =>
      roomNid === room.roomNid ? event.prevEventIds : [],
    )
    const until = new Set([...earliest, ...latest])
    const walked = await this.#parts.walk.run(room, {
      from,
      until,
      minDepth,
      limit: Math.min(limit, MAX_MISSING),
    })
    return this.#parts.visibility.show(server, room, walked.reverse())
  }

  /**
   * The event closest to a time (ms since the epoch) that the server may see.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
   */
  async closestTo(
    server: ServerName,
    roomId: RoomId,
    { ts, direction }: { ts: number; direction: Direction },
  ): Promise<Event> {
    const room = await this.#parts.gate.requireRoom(server, roomId)
    const candidates = await this.#parts.timeline.listByTimestamp(this.#db.reader, room.roomNid, {
      ts,
      direction,
      ceiling: Number.MAX_SAFE_INTEGER,
      limit: MAX_CANDIDATES,
      offset: 0,
    })
    const visible = await this.#parts.visibility.filter(server, room, candidates)
    const closest = candidates.find((stored) => visible.has(stored))
    if (closest) return closest.event
    const where = direction === 'f' ? 'forward' : 'backward'
    throw notFound(`Unable to find event from ${ts} in ${where} direction`)
  }
}
