import type { Event } from '../../protocol/event.js'
import type { EventId, ServerName } from '../../protocol/ids.js'
import type { Logger } from '../../telemetry/logger.js'
import { Semaphore } from '../../util/semaphore.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { IntakeRoom, PduIntake } from './pdu-intake.js'
import { pdusOf } from './pdu-sources.js'

interface Parts {
  readonly client: Pick<FederationClient, 'requestWithText'>
  readonly intake: PduIntake
  readonly logger: Logger
}

/** Requests on their way to one server. */
const CONCURRENCY = 8
/** An event has at most 64 KiB; its frame and generous escapes come on top. */
const MAX_EVENT_ANSWER_BYTES = 1024 * 1024
const TIMEOUT_MS = 20_000

/** Gets single events from other servers. */
export class EventFetcher {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Events of a room, from the first of the servers that has them. Format, signatures and hashes have been checked. What
   * nobody has is left out, and what has not come when `signal` aborts.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1eventeventid
   */
  async fetch(
    room: IntakeRoom,
    ids: readonly EventId[],
    servers: readonly ServerName[],
    signal?: AbortSignal,
  ): Promise<Event[]> {
    const missing = new Set(ids)
    const found: Event[] = []
    for (const server of servers) {
      if (missing.size === 0 || signal?.aborted) break
      const pdus = await this.#fetchFrom(server, [...missing], signal)
      const { events, refused } = await this.#parts.intake.check(room, pdus)
      for (const event of events) if (missing.delete(event.eventId)) found.push(event)
      if (refused.size > 0) {
        const reasons = Object.fromEntries(refused)
        this.#parts.logger.info({ server, room: room.roomId, reasons }, 'Refused events that were asked for')
      }
    }
    return found
  }

  async #fetchFrom(
    server: ServerName,
    ids: readonly EventId[],
    signal: AbortSignal | undefined,
  ): Promise<unknown[]> {
    const places = new Semaphore(CONCURRENCY)
    let isGone = false
    const answers = await Promise.all(
      ids.map((id) =>
        places.run(async () => {
          if (isGone || signal?.aborted) return []
          try {
            return await this.#fetchOne(server, id, signal)
          } catch (error) {
            if (!(error instanceof FederationError)) throw error
            // Whoever cannot be reached need not be asked for the others.
            if (error.status === undefined) isGone = true
            return []
          }
        }),
      ),
    )
    return answers.flat()
  }

  async #fetchOne(server: ServerName, id: EventId, signal: AbortSignal | undefined): Promise<unknown[]> {
    const answer = await this.#parts.client.requestWithText({
      destination: server,
      method: 'GET',
      path: `/_matrix/federation/v1/event/${encodeURIComponent(id)}`,
      maxBytes: MAX_EVENT_ANSWER_BYTES,
      timeoutMs: TIMEOUT_MS,
      ...(signal && { signal }),
    })
    return pdusOf(answer, 'pdus').slice(0, 1)
  }
}
