import { MatrixError } from '../../protocol/errors.js'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import { DUMMY_EVENT_TYPE } from '../events/event-visibility.js'
import type { EventSender } from '../events/event-sender.js'

interface Parts {
  readonly graph: EventGraphStore
  readonly rooms: RoomsStore
  readonly members: RoomMembersStore
  readonly sender: Pick<EventSender, 'send'>
  readonly logger: Logger
  /** `dummy_events_threshold`: rooms with more ends than this are tidied. */
  readonly threshold: number
}

/** Rooms that are tidied in one run. */
const MAX_ROOMS = 20
/** Events in one room and run. */
const MAX_EVENTS = 20
/** Users in whose name it is tried. */
const MAX_USERS = 50

/** How much is done for one room. */
interface Effort {
  /** No more ends than this are left. */
  readonly threshold: number
  readonly maxEvents: number
  readonly maxUsers: number
}

/** The other server waits for its answer. */
const AT_JOIN: Effort = { threshold: 1, maxEvents: 1, maxUsers: 5 }

/**
 * Joins the ends of rooms where federation has left many: each of them makes every event larger and every state harder to
 * resolve. The events that do so say nothing, and clients do not see them.
 */
export class ExtremityCleanup {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Joins the ends of the rooms that have the most. */
  async run(signal?: AbortSignal): Promise<void> {
    const { graph, rooms, threshold, logger } = this.#parts
    const crowded = await graph.listCrowdedRooms(this.#db.reader, threshold, MAX_ROOMS)
    const records = await rooms.getByNids(this.#db.reader, [...crowded.keys()])
    for (const room of records.values()) {
      if (signal?.aborted) return
      const sent = await this.#tidy(room, { threshold, maxEvents: MAX_EVENTS, maxUsers: MAX_USERS }, signal)
      logger.info({ roomId: room.roomId, ends: crowded.get(room.roomNid), sent }, 'Joined the ends of a room')
    }
  }

  /**
   * Joins the ends of a room that another server has come into while somebody spoke: to its join leads nothing that was
   * said between the two steps of the handshake, and the server would not learn of it until somebody speaks again. The
   * specification says nothing of it. Never rejects: where nobody of ours may send such events, the ends stay.
   */
  async join(room: RoomRecord): Promise<void> {
    const { graph, logger } = this.#parts
    try {
      const ends = await graph.listForwardExtremities(this.#db.reader, room.roomNid)
      if (ends.length > 1) await this.#tidy(room, AT_JOIN)
    } catch (err) {
      logger.warn({ err, roomId: room.roomId }, 'The ends of a room could not be joined')
    }
  }

  /** How many events it took, or none where nobody of ours may send them. */
  async #tidy(
    room: RoomRecord,
    { threshold, maxEvents, maxUsers }: Effort,
    signal?: AbortSignal,
  ): Promise<number> {
    const { graph, members } = this.#parts
    const users = await members.sampleLocalMembers(this.#db.reader, room.roomNid, maxUsers)
    let sent = 0
    for (const userId of users) {
      while (sent < maxEvents && signal?.aborted !== true) {
        const ends = await graph.listForwardExtremities(this.#db.reader, room.roomNid)
        if (ends.length <= threshold) return sent
        try {
          await this.#parts.sender.send(
            { userId },
            { roomId: room.roomId, type: DUMMY_EVENT_TYPE, content: {} },
          )
        } catch (error) {
          if (error instanceof MatrixError) break
          throw error
        }
        sent++
      }
    }
    return sent
  }
}
