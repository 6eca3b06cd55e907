import { parseEventId, type EventId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { ServerMembersStore } from '../../storage/stores/server-members.js'
import type { Direction } from '../../storage/timeline-range.js'
import type { Logger } from '../../telemetry/logger.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { Backfill } from './backfill.js'

interface Parts {
  readonly client: Pick<FederationClient, 'request'>
  readonly backfill: Backfill
  readonly events: EventsStore
  readonly serverMembers: ServerMembersStore
  readonly logger: Logger
}

interface Found {
  readonly eventId: EventId
  readonly ts: number
}

const MAX_SERVERS = 4
const TIMEOUT_MS = 20_000

/** Asks other servers for events by time, where the history that is held has gaps. */
export class RemoteTimestamps {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The event that another server says is closest to a time, at or after it (`f`) or at or before it (`b`); it is held
   * afterwards. Undefined where nobody knows one, and where it is not closer than `atLeast`.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
   */
  async find(
    room: RoomRecord,
    { ts, direction, closerThan }: { ts: number; direction: Direction; closerThan: number | undefined },
  ): Promise<StoredEvent | undefined> {
    const q = this.#db.reader
    for (const server of await this.#parts.serverMembers.listServers(q, room.roomNid, MAX_SERVERS)) {
      try {
        const found = await this.#ask(room, { server, ts, direction })
        if (found === undefined) continue
        if (closerThan !== undefined && Math.abs(found.ts - ts) >= Math.abs(closerThan - ts)) return undefined
        const held = await this.#parts.events.get(q, found.eventId)
        if (held?.streamOrdering === undefined || held.streamOrdering === null) {
          await this.#parts.backfill.fetchAt(room, found.eventId, server)
        }
        const stored = await this.#parts.events.get(q, found.eventId)
        if (stored?.roomNid === room.roomNid && isOnSide(stored, ts, direction)) return stored
      } catch (err) {
        if (!(err instanceof FederationError)) throw err
        this.#parts.logger.debug({ err, server, room: room.roomId }, 'A server knows no event at a time')
      }
    }
    return undefined
  }

  async #ask(
    room: RoomRecord,
    {
      server,
      ts,
      direction,
    }: { server: Parameters<Backfill['fetchAt']>[2]; ts: number; direction: Direction },
  ): Promise<Found | undefined> {
    const answer = await this.#parts.client.request({
      destination: server,
      method: 'GET',
      path: `/_matrix/federation/v1/timestamp_to_event/${encodeURIComponent(room.roomId)}`,
      query: { ts: String(ts), dir: direction },
      timeoutMs: TIMEOUT_MS,
    })
    const { event_id: id, origin_server_ts: foundTs } = answer
    const eventId = typeof id === 'string' ? parseEventId(id) : undefined
    return eventId !== undefined && typeof foundTs === 'number' ? { eventId, ts: foundTs } : undefined
  }
}

function isOnSide({ event }: StoredEvent, ts: number, direction: Direction): boolean {
  return direction === 'f' ? event.originServerTs >= ts : event.originServerTs <= ts
}
