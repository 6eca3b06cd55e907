import type { Event } from '../../protocol/event.js'
import type { EventId, ServerName } from '../../protocol/ids.js'
import { topologicalSort } from '../../protocol/topological-sort.js'
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
}

interface Parts {
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
  readonly #parts: Parts

  constructor(parts: Parts) {
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
      const batch = waiting.slice(0, MAX_BATCH)
      const receptions = await this.#parts.receiver.receiveAll(room, batch, options.kind)
      const stopped = receptions.at(-1)?.outcome === 'missing' ? batch[receptions.length - 1] : undefined
      if (stopped) {
        const reception = await this.#receiveAfterMissing(room, stopped, { ...options, budget })
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

  /** Whom the room's policy server wants; what is of the past has been judged by those who were there. */
  async #judge(
    room: RoomRecord,
    events: readonly Event[],
    kind: PullOptions['kind'],
  ): Promise<readonly OfferedEvent[]> {
    const { policy } = this.#parts
    if (kind === 'backfilled' || policy === undefined) {
      return events.map((event) => ({ event, isUnwanted: false }))
    }
    const judged: OfferedEvent[] = []
    for (const event of events) judged.push(await judgeByPolicy(policy, room, event))
    return judged
  }

  /** Takes in one event for which something is missing: as it is then, or with what others say. */
  async #receiveAfterMissing(
    room: RoomRecord,
    { event, isUnwanted }: OfferedEvent,
    { kind, servers, budget }: PullOptions & { budget: { states: number } },
  ): Promise<Reception> {
    const { receiver, outliers } = this.#parts
    let reception = await receiver.receive(room, event, { kind, isUnwanted })
    if (reception.outcome !== 'missing') return reception
    budget.states -= reception.prevEvents.length
    if (budget.states < 0) return reception
    const statesAfterMissing = await this.#statesAfter(room, reception.prevEvents, servers)
    if (statesAfterMissing === undefined) return reception
    reception = await receiver.receive(room, event, { kind, isUnwanted, statesAfterMissing })
    if (reception.outcome !== 'missing') return reception
    // What authorizes the event is part of the state before it, or in its auth chain: most of it has come by now.
    await outliers.fetchAuthEvents(room, event, { missing: reception.authEvents, servers })
    return receiver.receive(room, event, { kind, isUnwanted, statesAfterMissing })
  }

  /** The states after events that are not held; undefined where one cannot be had. */
  async #statesAfter(
    room: RoomRecord,
    prevEvents: readonly EventId[],
    servers: readonly ServerName[],
  ): Promise<Map<EventId, readonly EventId[]> | undefined> {
    const found = new Map<EventId, readonly EventId[]>()
    for (const id of prevEvents) {
      const state = await this.#parts.states.after(room, id, servers)
      if (state === undefined) return undefined
      found.set(id, state)
    }
    return found
  }
}

/** Those that follow none of the events which are left out; what follows one of these is left out as well. */
function withoutHopeless(waiting: readonly OfferedEvent[], left: Set<EventId>): readonly OfferedEvent[] {
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
