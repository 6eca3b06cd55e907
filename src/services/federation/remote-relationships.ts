import { LRUCache } from 'lru-cache'
import { parseDigest, type ChildrenDigest } from '../../protocol/event-relationships.js'
import type { PduJson } from '../../protocol/event.js'
import { eventIdOf } from '../../protocol/hashes.js'
import type { EventId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventRelationshipsStore } from '../../storage/stores/event-relationships.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { ServerMembersStore } from '../../storage/stores/server-members.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject } from '../../util/json.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { OutlierFetcher } from './outlier-fetcher.js'
import type { PduIntake } from './pdu-intake.js'
import { pdusOf, type JsonWithText } from './pdu-sources.js'

type Direction = 'up' | 'down'

interface Parts {
  readonly client: Pick<FederationClient, 'requestWithText'>
  readonly intake: PduIntake
  readonly outliers: Pick<OutlierFetcher, 'store'>
  readonly relationships: EventRelationshipsStore
  readonly events: EventsStore
  readonly serverMembers: ServerMembersStore
  readonly clock: Pick<Clock, 'now'>
  readonly logger: Logger
}

/** Questions for the sake of one request of a client. */
const MAX_QUESTIONS = 5
const MAX_SERVERS = 4
/** Events of one answer, and of what authorizes them. */
const MAX_EVENTS = 100
const MAX_AUTH_EVENTS = 5_000
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
const TIMEOUT_MS = 10_000
/** How long the same is not asked again. */
const PATIENCE_MS = 60_000

/**
 * Asks other servers for parts of threads that this one does not hold, and keeps them as outliers.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/2836
 */
export class RemoteRelationships {
  readonly #db: Database
  readonly #parts: Parts
  /** When what was asked. */
  readonly #asked = new LRUCache<string, number>({ max: 10_000 })

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * For one request of a client: what gets an event with those that it answers (`up`), or those that answer it (`down`).
   * Never rejects for what other servers do.
   */
  begin(): (room: RoomRecord, eventId: EventId, direction: Direction) => Promise<void> {
    let left = MAX_QUESTIONS
    return async (room, eventId, direction) => {
      const key = `${direction} ${eventId}`
      const now = this.#parts.clock.now()
      if (left === 0 || now - (this.#asked.get(key) ?? -Infinity) < PATIENCE_MS) return
      left--
      this.#asked.set(key, now)
      await this.#explore(room, eventId, direction)
    }
  }

  async #explore(room: RoomRecord, eventId: EventId, direction: Direction): Promise<void> {
    const { serverMembers, events, logger } = this.#parts
    for (const server of await serverMembers.listServers(this.#db.reader, room.roomNid, MAX_SERVERS)) {
      try {
        const answer = await this.#ask(server, room, { eventId, direction })
        await this.#store(room, answer, server)
      } catch (err) {
        if (!(err instanceof FederationError)) throw err
        logger.info({ err, server, room: room.roomId }, 'A server does not tell of a thread')
        continue
      }
      if (direction === 'down' || (await events.get(this.#db.reader, eventId)) !== undefined) return
    }
  }

  #ask(
    server: ServerName,
    room: RoomRecord,
    { eventId, direction }: { eventId: EventId; direction: Direction },
  ): Promise<JsonWithText> {
    return this.#parts.client.requestWithText({
      destination: server,
      method: 'POST',
      path: '/_matrix/federation/unstable/event_relationships',
      body: {
        event_id: eventId,
        room_id: room.roomId,
        direction,
        // The whole way up; only what answers the event itself.
        max_depth: direction === 'up' ? MAX_EVENTS : 1,
        max_breadth: MAX_EVENTS,
        limit: MAX_EVENTS,
        depth_first: false,
        recent_first: true,
        include_parent: true,
        include_children: false,
      },
      maxBytes: MAX_ANSWER_BYTES,
      timeoutMs: TIMEOUT_MS,
    })
  }

  async #store(room: RoomRecord, answer: JsonWithText, server: ServerName): Promise<void> {
    const { intake, outliers, relationships, events } = this.#parts
    const thread = pdusOf(answer, 'events').slice(0, MAX_EVENTS)
    const chain = pdusOf(answer, 'auth_chain').slice(0, MAX_AUTH_EVENTS)
    const { events: sound } = await intake.check(room, [...chain, ...thread], { anyReferences: true })
    await outliers.store(room, sound, [server])
    const told = digestsOf(room, answer)
    const held = await events.getByIds(this.#db.reader, [...told.keys()])
    const rows = new Map(
      [...held.values()]
        .filter(({ roomNid }) => roomNid === room.roomNid)
        .map(({ eventNid, event }) => [eventNid, told.get(event.eventId)!]),
    )
    if (rows.size === 0) return
    await this.#db.write('told_children', (tx) => relationships.setTold(tx, rows))
  }
}

/** What the server says of the children of each event. */
function digestsOf(room: RoomRecord, { json }: JsonWithText): Map<EventId, ChildrenDigest> {
  const told = new Map<EventId, ChildrenDigest>()
  const events = Array.isArray(json['events']) ? json['events'].slice(0, MAX_EVENTS) : []
  for (const pdu of events) {
    const digest = isJsonObject(pdu) ? parseDigest(pdu['unsigned']) : undefined
    const eventId = digest && nameOf(room, pdu as unknown as PduJson)
    if (digest && eventId !== undefined) told.set(eventId, digest)
  }
  return told
}

function nameOf({ rules }: RoomRecord, pdu: PduJson): EventId | undefined {
  try {
    const eventId = eventIdOf(rules, pdu)
    return typeof eventId === 'string' ? eventId : undefined
  } catch {
    // What has no canonical form is no event.
    return undefined
  }
}
