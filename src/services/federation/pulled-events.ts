import type { Event } from '../../protocol/event.js'
import type { EventId, ServerName } from '../../protocol/ids.js'
import { topologicalSort } from '../../protocol/topological-sort.js'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { MissingEventsStore } from '../../storage/stores/missing-events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import type { EventReceiver, OfferedEvent, ReceiveOptions } from '../events/event-receiver.js'
import type { Reception } from '../events/reception.js'
import type { OutlierFetcher } from './outlier-fetcher.js'
import { judgeByPolicy, type ReceivedEventPolicy } from './received-event-policy.js'
import type { RemoteStates } from './remote-states.js'

export interface PullOptions {
  readonly kind: NonNullable<ReceiveOptions['kind']>
  /** Whom to ask for what is still missing. */
  readonly servers: readonly ServerName[]
  /** Nobody is asked any more when it aborts. */
  readonly signal?: AbortSignal
}

/** An event that is to be taken in. */
interface WaitingEvent extends OfferedEvent {
  readonly kind: PullOptions['kind']
}

interface Parts {
  readonly graph: EventGraphStore
  readonly missingEvents: MissingEventsStore
  readonly receiver: EventReceiver
  readonly outliers: OutlierFetcher
  readonly states: RemoteStates
  readonly policy: ReceivedEventPolicy | undefined
  readonly logger: Logger
}

/** How often another server is asked for states in the course of one call: it may take its time with each. */
const MAX_STATES = 10
/** Events that are judged and stored together: the room waits meanwhile. */
const MAX_BATCH = 100

/** Takes in events that this server has asked for, which may themselves follow others that it does not have. */
export class PulledEvents {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Judges and stores events of a room, each after those that it follows. Where they follow events that are not held,
   * another server says what the state was there. What cannot be judged is left out, with all that follows it. Gives
   * how many are held now that had no place in the timeline before.
   */
  async receive(room: RoomRecord, events: readonly Event[], options: PullOptions): Promise<number> {
    const left = new Set<EventId>()
    const budget = { states: MAX_STATES }
    let received = 0
    let waiting = await this.#judge(room, inOrder(events), options.kind)
    while (waiting.length > 0) {
      const { kind } = waiting[0]!
      const batch = beginning(waiting, kind)
      const receptions = await this.#parts.receiver.receiveAll(room, batch, kind)
      const stopped = receptions.at(-1)?.outcome === 'missing' ? batch[receptions.length - 1] : undefined
      if (stopped) {
        const reception = await this.#receiveAfterMissing(room, stopped, { ...options, kind, budget })
        if (reception.outcome === 'missing') left.add(stopped.event.eventId)
        receptions.splice(-1, 1, reception)
      }
      received += receptions.filter(({ outcome }) => outcome !== 'known' && outcome !== 'missing').length
      waiting = withoutHopeless(waiting.slice(receptions.length), left)
    }
    if (left.size > 0) {
      this.#parts.logger.info({ room: room.roomId, events: [...left] }, 'Events could not be judged')
    }
    return received
  }

  /** Which of the events are of the past, and which of the others the room's policy server wants. */
  async #judge(
    room: RoomRecord,
    events: readonly Event[],
    kind: PullOptions['kind'],
  ): Promise<readonly WaitingEvent[]> {
    // What is of the past has been judged by those who were there.
    const asPast = (event: Event): WaitingEvent => ({ event, isUnwanted: false, kind: 'backfilled' })
    if (kind === 'backfilled') return events.map(asPast)
    const past = await this.#pastAmong(room, events)
    const waiting: WaitingEvent[] = []
    for (const event of events) {
      if (past.has(event)) waiting.push(asPast(event))
      else waiting.push({ ...(await judgeByPolicy(this.#parts.policy, room, event)), kind })
    }
    return waiting
  }

  /**
   * Those of the events, each after those that it follows, which came before what is held: whoever answers does not know
   * where our history begins. They lead the room nowhere; as ends of it they would bring back the state of that time.
   */
  async #pastAmong(room: RoomRecord, events: readonly Event[]): Promise<Set<Event>> {
    const { graph, missingEvents } = this.#parts
    const q = this.#db.reader
    const gaps = await missingEvents.getNids(
      q,
      events.map(({ eventId }) => eventId),
    )
    if (gaps.size === 0) return new Set()
    const followed = await graph.listReferenced(q, [...gaps.values()])
    const before = new Set<EventId>()
    for (const { eventId, prevEventIds } of [...events].reverse()) {
      if (!before.has(eventId) && !followed.has(gaps.get(eventId) ?? 0)) continue
      for (const id of [eventId, ...prevEventIds]) before.add(id)
    }
    // What follows an end of the room takes its place, whatever follows it in turn.
    const ends = await graph.listForwardExtremities(q, room.roomNid)
    const live = new Set(ends.map(({ eventId }) => eventId))
    return new Set(
      events.filter(({ eventId, prevEventIds }) => {
        if (before.has(eventId) && !prevEventIds.some((id) => live.has(id))) return true
        live.add(eventId)
        return false
      }),
    )
  }

  /** Takes in one event for which something is missing: as it is then, or with what others say. */
  async #receiveAfterMissing(
    room: RoomRecord,
    { event, isUnwanted }: OfferedEvent,
    { kind, servers, budget, signal }: PullOptions & { budget: { states: number } },
  ): Promise<Reception> {
    const { receiver, outliers } = this.#parts
    let reception = await receiver.receive(room, event, { kind, isUnwanted })
    if (reception.outcome !== 'missing') return reception
    budget.states -= reception.prevEvents.length
    if (budget.states < 0) return reception
    const { prevEvents } = reception
    let statesAfterMissing = await this.#statesAfter(room, prevEvents, { servers, signal })
    // Whoever came to the room with the event, or after it, does not know what was before.
    if (kind === 'backfilled') {
      statesAfterMissing ??= await this.#stateBefore(room, event, prevEvents, { servers, signal })
    }
    if (statesAfterMissing === undefined) return reception
    reception = await receiver.receive(room, event, { kind, isUnwanted, statesAfterMissing })
    if (reception.outcome !== 'missing') return reception
    // What authorizes the event is part of the state before it, or in its auth chain: most of it has come by now.
    await outliers.fetchAuthEvents(room, event, { missing: reception.authEvents, servers, signal })
    return receiver.receive(room, event, { kind, isUnwanted, statesAfterMissing })
  }

  /** The states after events that are not held; undefined where one cannot be had. */
  async #statesAfter(
    room: RoomRecord,
    prevEvents: readonly EventId[],
    { servers, signal }: { servers: readonly ServerName[]; signal: AbortSignal | undefined },
  ): Promise<Map<EventId, readonly EventId[]> | undefined> {
    const found = new Map<EventId, readonly EventId[]>()
    for (const id of prevEvents) {
      const state = await this.#parts.states.after(room, id, servers, signal)
      if (state === undefined) return undefined
      found.set(id, state)
    }
    return found
  }

  /** The state before the event stands for those after each of what it follows. */
  async #stateBefore(
    room: RoomRecord,
    { eventId }: Event,
    prevEvents: readonly EventId[],
    { servers, signal }: { servers: readonly ServerName[]; signal: AbortSignal | undefined },
  ): Promise<Map<EventId, readonly EventId[]> | undefined> {
    const state = await this.#parts.states.before(room, eventId, servers, signal)
    return state && new Map(prevEvents.map((id) => [id, state]))
  }
}

/** Those at the beginning that are of one kind, as many as are taken in together. */
function beginning(waiting: readonly WaitingEvent[], kind: PullOptions['kind']): readonly WaitingEvent[] {
  const end = waiting.findIndex((other) => other.kind !== kind)
  return waiting.slice(0, Math.min(MAX_BATCH, end === -1 ? waiting.length : end))
}

/** Those that follow none of the events which are left out; what follows one of these is left out as well. */
function withoutHopeless(waiting: readonly WaitingEvent[], left: Set<EventId>): readonly WaitingEvent[] {
  return waiting.filter(({ event }) => {
    if (!event.prevEventIds.some((id) => left.has(id))) return true
    left.add(event.eventId)
    return false
  })
}

/** Each event after those of the others that it follows. */
function inOrder(events: readonly Event[]): Event[] {
  const byId = new Map(events.map((event) => [event.eventId, event]))
  const ids = topologicalSort(
    byId.keys(),
    (id) => byId.get(id)?.prevEventIds ?? [],
    (a, b) => byId.get(a)!.depth - byId.get(b)!.depth || (a < b ? -1 : 1),
  )
  return ids.flatMap((id) => byId.get(id) ?? [])
}
