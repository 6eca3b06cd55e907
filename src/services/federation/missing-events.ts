import type { Event } from '../../protocol/event.js'
import type { EventId, ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { PduIntake } from './pdu-intake.js'
import { pdusOf } from './pdu-sources.js'

interface Parts {
  readonly client: Pick<FederationClient, 'requestWithText'>
  readonly intake: PduIntake
  readonly graph: EventGraphStore
  readonly logger: Logger
}

/** How many events a gap may have to be closed without the help of the state at its far end. */
const MAX_EVENTS = 20
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const TIMEOUT_MS = 60_000
/** No server looks at more of our ends than this. */
const MAX_EARLIEST = 20

/** Asks the server that has sent an event for what lies between that event and those that are held. */
export class MissingEvents {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Events before one that was received, with format, signatures and hashes checked, in any order; empty where the
   * server does not tell.
   * https://spec.matrix.org/latest/server-server-api/#post_matrixfederationv1get_missing_eventsroomid
   */
  async fetch(
    room: RoomRecord,
    latest: Event,
    server: ServerName,
    signal?: AbortSignal,
  ): Promise<readonly Event[]> {
    const extremities = await this.#parts.graph.listForwardExtremities(this.#db.reader, room.roomNid)
    try {
      const answer = await this.#parts.client.requestWithText({
        destination: server,
        method: 'POST',
        path: `/_matrix/federation/v1/get_missing_events/${encodeURIComponent(room.roomId)}`,
        body: {
          earliest_events: extremities.slice(0, MAX_EARLIEST).map(({ eventId }): EventId => eventId),
          latest_events: [latest.eventId],
          limit: MAX_EVENTS,
          min_depth: 0,
        },
        maxBytes: MAX_ANSWER_BYTES,
        timeoutMs: TIMEOUT_MS,
        ...(signal && { signal }),
      })
      const pdus = pdusOf(answer, 'events').slice(0, MAX_EVENTS)
      const { events, refused } = await this.#parts.intake.check(room, pdus)
      if (refused.size > 0) {
        const reasons = Object.fromEntries(refused)
        this.#parts.logger.info({ server, room: room.roomId, reasons }, 'Refused missing events')
      }
      return events
    } catch (err) {
      if (!(err instanceof FederationError)) throw err
      this.#parts.logger.info({ err, server, room: room.roomId }, 'A server does not tell what is missing')
      return []
    }
  }
}
