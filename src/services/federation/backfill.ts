import { LRUCache } from 'lru-cache'
import type { EventId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { HistoryGap, MissingEventsStore } from '../../storage/stores/missing-events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { ServerMembersStore } from '../../storage/stores/server-members.js'
import type { TimelineBound } from '../../storage/timeline-range.js'
import type { Logger } from '../../telemetry/logger.js'
import { backoffMs } from '../../util/backoff.js'
import type { Clock } from '../../util/clock.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import { upTo } from '../../util/lru-bounds.js'
import { withTimeLimit } from '../../util/time-limit.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { PduIntake } from './pdu-intake.js'
import { pdusOf } from './pdu-sources.js'
import type { PulledEvents } from './pulled-events.js'

interface Parts {
  readonly client: Pick<FederationClient, 'requestWithText'>
  readonly intake: PduIntake
  readonly pulled: PulledEvents
  readonly missingEvents: MissingEventsStore
  readonly timeline: RoomTimelineStore
  readonly members: RoomMembersStore
  readonly serverMembers: ServerMembersStore
  readonly clock: Clock
  readonly logger: Logger
}

/** Events that are asked for at once. */
const BATCH = 100
/** How often others are asked for the sake of one page. */
const MAX_ROUNDS = 8
/** Gaps that are asked about together. */
const MAX_GAPS = 20
const MAX_SERVERS = 4
/** How long others are asked for the sake of one page: somebody waits for it, and others wait for the room. */
const MAX_ASKING_MS = 60_000
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
const TIMEOUT_MS = 30_000

/** How long a gap is left alone that nobody could close. */
const RETRY = { baseMs: 30_000, maxMs: 60 * 60_000 }

/** Gets the history of rooms from others where that which is held ends. */
export class Backfill {
  readonly #db: Database
  readonly #parts: Parts
  readonly #locks = new KeyedMutex()
  /** Of gaps that could not be closed, by nid. */
  readonly #failures = new LRUCache<number, { count: number; retryAtTs: number }>(upTo(10_000))

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Sees to it that `limit` events before a place of the room are held without gaps, as far as the servers in the room
   * have them. Gives whether the history goes on before what is held: there are gaps still. Never rejects for what
   * other servers do.
   */
  async ensure(room: RoomRecord, from: TimelineBound, limit: number): Promise<boolean> {
    if (!(await this.#isBehind(room, from, limit))) return this.hasGaps(room, from)
    await this.#exclusively(room, async (signal) => {
      for (let round = 0; round < MAX_ROUNDS && !signal.aborted; round++) {
        const gaps = await this.#isBehind(room, from, limit)
        if (!gaps || !(await this.#close(room, gaps, signal))) return
      }
    })
    return this.hasGaps(room, from)
  }

  /** Whether there is history before a place of the room that is not held. */
  async hasGaps(room: RoomRecord, from: TimelineBound): Promise<boolean> {
    const maxDepth = from.depth ?? Number.MAX_SAFE_INTEGER
    return (await this.#parts.missingEvents.listGaps(this.#db.reader, room.roomNid, maxDepth, 1)).length > 0
  }

  /**
   * Gets an event that another server has told of, with what came just before it. Gives whether it or something of that
   * was not held yet.
   */
  async fetchAt(room: RoomRecord, eventId: EventId, server: ServerName): Promise<boolean> {
    return this.#exclusively(room, (signal) =>
      this.#ask(room, [eventId], { server, limit: BATCH / 4, signal }),
    )
  }

  #exclusively<T>(room: RoomRecord, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#locks.run(String(room.roomNid), () => withTimeLimit(this.#parts.clock, MAX_ASKING_MS, task))
  }

  /** The gaps that a page of events before a place would leap over; undefined where there are none. */
  async #isBehind(
    room: RoomRecord,
    from: TimelineBound,
    limit: number,
  ): Promise<readonly HistoryGap[] | undefined> {
    const q = this.#db.reader
    const maxDepth = from.depth ?? Number.MAX_SAFE_INTEGER
    const gaps = await this.#parts.missingEvents.listGaps(q, room.roomNid, maxDepth, MAX_GAPS)
    if (gaps.length === 0) return undefined
    const page = await this.#parts.timeline.page(q, {
      roomNid: room.roomNid,
      direction: 'b',
      from,
      ceiling: Number.MAX_SAFE_INTEGER,
      limit,
    })
    const lowest = page.end?.depth ?? 0
    const now = this.#parts.clock.now()
    const reached = gaps.filter(
      ({ depth, eventNid }) => depth >= lowest && (this.#failures.get(eventNid)?.retryAtTs ?? 0) <= now,
    )
    return reached.length > 0 ? reached : undefined
  }

  /** Whether something was got that was not held. */
  async #close(room: RoomRecord, gaps: readonly HistoryGap[], signal: AbortSignal): Promise<boolean> {
    const q = this.#db.reader
    if (!(await this.#parts.members.hasLocalMember(q, room.roomNid))) return false
    const servers = await this.#parts.serverMembers.listServers(q, room.roomNid, MAX_SERVERS)
    const ids = gaps.map(({ eventId }) => eventId)
    for (const server of servers) {
      if (await this.#ask(room, ids, { server, limit: BATCH, signal })) return true
    }
    this.#rememberFailure(gaps)
    return false
  }

  #rememberFailure(gaps: readonly HistoryGap[]): void {
    const now = this.#parts.clock.now()
    for (const { eventNid } of gaps) {
      const count = (this.#failures.get(eventNid)?.count ?? 0) + 1
      this.#failures.set(eventNid, { count, retryAtTs: now + backoffMs(count, RETRY) })
    }
  }

  /** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1backfillroomid */
  async #ask(
    room: RoomRecord,
    ids: readonly EventId[],
    { server, limit, signal }: { server: ServerName; limit: number; signal: AbortSignal },
  ): Promise<boolean> {
    try {
      const answer = await this.#parts.client.requestWithText({
        destination: server,
        method: 'GET',
        path: `/_matrix/federation/v1/backfill/${encodeURIComponent(room.roomId)}`,
        query: { v: ids, limit: String(limit) },
        maxBytes: MAX_ANSWER_BYTES,
        timeoutMs: TIMEOUT_MS,
        signal,
      })
      const pdus = pdusOf(answer, 'pdus').slice(0, limit)
      const { events, refused } = await this.#parts.intake.check(room, pdus, { anyReferences: true })
      if (refused.size > 0) {
        const reasons = Object.fromEntries(refused)
        this.#parts.logger.info({ server, room: room.roomId, reasons }, 'Refused events of the past')
      }
      const options = { kind: 'backfilled', servers: [server], signal } as const
      return (await this.#parts.pulled.receive(room, events, options)) > 0
    } catch (err) {
      if (!(err instanceof FederationError)) throw err
      this.#parts.logger.info({ err, server, room: room.roomId }, 'A server does not tell of the past')
      return false
    }
  }
}
