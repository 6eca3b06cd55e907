import type { Event } from '../../protocol/event.js'
import type { EventId, ServerName } from '../../protocol/ids.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { OutlierReceiver } from '../events/outlier-receiver.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { EventFetcher } from './event-fetcher.js'
import type { PduIntake } from './pdu-intake.js'
import { pdusOf } from './pdu-sources.js'

interface Parts {
  readonly client: Pick<FederationClient, 'requestWithText'>
  readonly intake: PduIntake
  readonly fetcher: EventFetcher
  readonly outliers: OutlierReceiver
}

/** How far auth events of auth events are followed. */
const MAX_ROUNDS = 20
/** No more events than this for the sake of one. */
const MAX_EVENTS = 5_000
const MAX_AUTH_ANSWER_BYTES = 64 * 1024 * 1024
const TIMEOUT_MS = 30_000

/** Gets the events that authorize others, and keeps them as outliers. What has come when a `signal` aborts is kept. */
export class OutlierFetcher {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Gets the auth events of an event that are not held: its whole auth chain at once, and one by one what does not come
   * that way. What cannot be had is still missing afterwards.
   * https://spec.matrix.org/latest/server-server-api/#retrieving-event-authorisation-information
   */
  async fetchAuthEvents(
    room: RoomRecord,
    event: Event,
    {
      missing,
      servers,
      signal,
    }: { missing: readonly EventId[]; servers: readonly ServerName[]; signal?: AbortSignal | undefined },
  ): Promise<void> {
    const [first] = servers
    const chain =
      first === undefined ? [] : await this.#fetchChain(room, event.eventId, { server: first, signal })
    const came = new Set(chain.map(({ eventId }) => eventId))
    const others = missing.filter((id) => !came.has(id))
    const fetched = await this.#parts.fetcher.fetch(room, others, servers, signal)
    await this.store(room, [...chain, ...fetched], servers, signal)
  }

  /** Gets single events with all that authorizes them. What cannot be had is left out. */
  async fetch(
    room: RoomRecord,
    ids: readonly EventId[],
    servers: readonly ServerName[],
    signal?: AbortSignal,
  ): Promise<void> {
    await this.store(room, await this.#parts.fetcher.fetch(room, ids, servers, signal), servers, signal)
  }

  /** Keeps events that have come already, and gets what authorizes them. */
  async store(
    room: RoomRecord,
    events: readonly Event[],
    servers: readonly ServerName[],
    signal?: AbortSignal,
  ): Promise<void> {
    const asked = new Set<EventId>()
    const all = new Map(events.map((event) => [event.eventId, event]))
    for (let round = 0; all.size > 0; round++) {
      const { missing } = await this.#parts.outliers.receive(room, [...all.values()])
      const wanted = missing.filter((id) => !asked.has(id) && !all.has(id))
      if (wanted.length === 0 || round === MAX_ROUNDS || all.size + wanted.length > MAX_EVENTS) return
      for (const id of wanted) asked.add(id)
      const fetched = await this.#parts.fetcher.fetch(room, wanted, servers, signal)
      if (fetched.length === 0) return
      for (const event of fetched) all.set(event.eventId, event)
    }
  }

  async #fetchChain(
    room: RoomRecord,
    eventId: EventId,
    { server, signal }: { server: ServerName; signal: AbortSignal | undefined },
  ): Promise<readonly Event[]> {
    try {
      const answer = await this.#parts.client.requestWithText({
        destination: server,
        method: 'GET',
        path: `/_matrix/federation/v1/event_auth/${encodeURIComponent(room.roomId)}/${encodeURIComponent(eventId)}`,
        maxBytes: MAX_AUTH_ANSWER_BYTES,
        timeoutMs: TIMEOUT_MS,
        ...(signal && { signal }),
      })
      const pdus = pdusOf(answer, 'auth_chain').slice(0, MAX_EVENTS)
      return (await this.#parts.intake.check(room, pdus)).events
    } catch (error) {
      if (error instanceof FederationError) return []
      throw error
    }
  }
}
