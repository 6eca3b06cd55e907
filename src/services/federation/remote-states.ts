import type { Event } from '../../protocol/event.js'
import { parseEventId, type EventId, type ServerName } from '../../protocol/ids.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import type { Database } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import { FederationError, type FederationAnswer, type FederationClient } from '../remote/federation-client.js'
import type { OutlierFetcher } from './outlier-fetcher.js'
import type { PduIntake } from './pdu-intake.js'
import { pdusOf } from './pdu-sources.js'

interface Parts {
  readonly client: Pick<FederationClient, 'requestWithText'>
  readonly intake: PduIntake
  readonly outliers: OutlierFetcher
  readonly events: EventsStore
  readonly currentState: CurrentStateStore
  readonly logger: Logger
}

/** What a server says of the state at an event. */
interface StateIds {
  readonly state: readonly EventId[]
  readonly authChain: readonly EventId[]
}

/** Who is asked, and how long. */
interface Witness {
  readonly server: ServerName
  readonly signal: AbortSignal | undefined
}

interface StatePoint {
  readonly eventId: EventId
  /** Or before it. */
  readonly isAfter: boolean
}

const MAX_STATE_IDS_BYTES = 32 * 1024 * 1024
const MAX_STATE_BYTES = 96 * 1024 * 1024
const TIMEOUT_MS = 60_000
/** Events of a state and its auth chain that are believed to exist. */
const MAX_IDS = 250_000
/** Events that are asked for one by one. */
const MAX_SINGLE_EVENTS = 2_000

/**
 * Asks other servers for the state of a room at events that are not held. What they say is not simply believed: the state
 * is one branch among others, and takes part in resolution like them.
 * https://spec.matrix.org/latest/server-server-api/#retrieving-events
 */
export class RemoteStates {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The state after an event, as the first of the servers says that can be believed. All of it is held afterwards.
   * Undefined when none of them answers, or not in time: what has come when `signal` aborts is held for the next try.
   */
  async after(
    room: RoomRecord,
    eventId: EventId,
    servers: readonly ServerName[],
    signal?: AbortSignal,
  ): Promise<readonly EventId[] | undefined> {
    return this.#askAll(room, { eventId, isAfter: true }, servers, signal)
  }

  /** The same before an event: the servers that have it may not have what came before it. */
  async before(
    room: RoomRecord,
    eventId: EventId,
    servers: readonly ServerName[],
    signal?: AbortSignal,
  ): Promise<readonly EventId[] | undefined> {
    return this.#askAll(room, { eventId, isAfter: false }, servers, signal)
  }

  async #askAll(
    room: RoomRecord,
    point: StatePoint,
    servers: readonly ServerName[],
    signal: AbortSignal | undefined,
  ): Promise<readonly EventId[] | undefined> {
    const { eventId } = point
    for (const server of servers) {
      if (signal?.aborted) break
      try {
        const state = await this.#askOne(room, point, { server, signal })
        if (state) return state
      } catch (err) {
        if (!(err instanceof FederationError)) throw err
        this.#parts.logger.info({ err, server, eventId }, 'A server does not tell the state at an event')
      }
    }
    return undefined
  }

  async #askOne(room: RoomRecord, point: StatePoint, from: Witness): Promise<readonly EventId[] | undefined> {
    const ids = await this.#stateIds(room, point.eventId, from)
    await this.#complete(room, ids, { point, from })
    // What nobody has is left out of a state, but not what there was no time for.
    if (from.signal?.aborted && (await this.#missing(ids.state)).length > 0) return undefined
    const held = await this.#parts.events.getByIds(this.#db.reader, [...ids.state, ...neededAt(point)])
    const state = await this.#assemble(room, point, { claimed: ids.state, held })
    if (typeof state !== 'string') return state
    this.#parts.logger.warn(
      { eventId: point.eventId, server: from.server, reason: state },
      'What a server says of a state is not believed',
    )
    return undefined
  }

  /** The state at the point, or why the one before the event cannot be one of the room. */
  async #assemble(
    room: RoomRecord,
    { eventId, isAfter }: StatePoint,
    { claimed, held }: { claimed: readonly EventId[]; held: ReadonlyMap<EventId, StoredEvent> },
  ): Promise<readonly EventId[] | string> {
    const own = isAfter ? held.get(eventId) : undefined
    if (isAfter && own?.roomNid !== room.roomNid) return 'the event itself cannot be had'
    const state = new Map<StateKey, EventId>()
    for (const id of claimed) {
      const stored = held.get(id)
      if (!isStateOf(room, stored)) continue
      const key = stateKeyOf(stored.event.type, stored.event.stateKey ?? '')
      if (state.has(key)) return 'there are two events for one key'
      state.set(key, id)
    }
    if (isStateOf(room, own)) state.set(stateKeyOf(own.event.type, own.event.stateKey ?? ''), eventId)
    return (await this.#isOfOurRoom(room, state))
      ? [...state.values()]
      : 'it does not begin with the create event'
  }

  /** The one event about which nobody can disagree. */
  async #isOfOurRoom(room: RoomRecord, state: ReadonlyMap<StateKey, EventId>): Promise<boolean> {
    const q = this.#db.reader
    const claimed = state.get(stateKeyOf('m.room.create', ''))
    const nid = await this.#parts.currentState.get(q, room.roomNid, 'm.room.create', '')
    if (claimed === undefined || nid === undefined) return claimed !== undefined
    return (await this.#parts.events.getByNids(q, [nid])).get(nid)?.event.eventId === claimed
  }

  async #stateIds(room: RoomRecord, eventId: EventId, from: Witness): Promise<StateIds> {
    const { json } = await this.#request(room, eventId, {
      from,
      what: 'state_ids',
      maxBytes: MAX_STATE_IDS_BYTES,
    })
    const { pdu_ids: state, auth_chain_ids: authChain } = json
    if (!Array.isArray(state))
      throw new FederationError(from.server, 'malformed', 'the state at an event is no list')
    return { state: eventIds(state), authChain: eventIds(authChain) }
  }

  /** Gets what is not held: one by one while it is little, else all at once. */
  async #complete(
    room: RoomRecord,
    { state, authChain }: StateIds,
    { point, from }: { point: StatePoint; from: Witness },
  ): Promise<void> {
    const { server, signal } = from
    const all = [...new Set([...state, ...authChain, ...neededAt(point)])]
    let missing = await this.#missing(all)
    if (missing.length * 10 >= all.length) {
      await this.#parts.outliers.store(
        room,
        await this.#wholeState(room, point.eventId, from),
        [server],
        signal,
      )
      missing = await this.#missing(missing)
    }
    if (missing.length === 0) return
    // The event itself is needed most.
    const wanted = [...new Set([...neededAt(point), ...missing])].slice(0, MAX_SINGLE_EVENTS)
    await this.#parts.outliers.fetch(room, await this.#missing(wanted), [server], signal)
  }

  async #missing(ids: readonly EventId[]): Promise<EventId[]> {
    const held = await this.#parts.events.getNids(this.#db.reader, ids)
    return ids.filter((id) => !held.has(id))
  }

  async #wholeState(room: RoomRecord, eventId: EventId, from: Witness): Promise<readonly Event[]> {
    try {
      const answer = await this.#request(room, eventId, { from, what: 'state', maxBytes: MAX_STATE_BYTES })
      return (await this.#parts.intake.check(room, pdusOf(answer, 'pdus', 'auth_chain'))).events
    } catch (error) {
      // They may still be had one by one.
      if (error instanceof FederationError) return []
      throw error
    }
  }

  #request(
    room: RoomRecord,
    eventId: EventId,
    { from, what, maxBytes }: { from: Witness; what: 'state' | 'state_ids'; maxBytes: number },
  ): Promise<FederationAnswer> {
    const { server, signal } = from
    return this.#parts.client.requestWithText({
      destination: server,
      method: 'GET',
      path: `/_matrix/federation/v1/${what}/${encodeURIComponent(room.roomId)}`,
      query: { event_id: eventId },
      maxBytes,
      timeoutMs: TIMEOUT_MS,
      ...(signal && { signal }),
    })
  }
}

/** Whether an event may be part of a room's state. */
function isStateOf(room: RoomRecord, stored: StoredEvent | undefined): stored is StoredEvent {
  return stored?.roomNid === room.roomNid && stored.rejected === null && stored.event.isState()
}

/** The event itself is part of the state after it, if of any. */
function neededAt({ eventId, isAfter }: StatePoint): readonly EventId[] {
  return isAfter ? [eventId] : []
}

function eventIds(list: unknown): EventId[] {
  if (!Array.isArray(list)) return []
  const texts: unknown[] = list.slice(0, MAX_IDS)
  return [...new Set(texts.flatMap((id) => (typeof id === 'string' ? (parseEventId(id) ?? []) : [])))]
}
