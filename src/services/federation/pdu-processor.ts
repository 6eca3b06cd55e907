import type { Event } from '../../protocol/event.js'
import type { ServerName } from '../../protocol/ids.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { withTimeLimit } from '../../util/time-limit.js'
import type { EventReceiver, OfferedEvent, ReceiveOptions } from '../events/event-receiver.js'
import type { Reception } from '../events/reception.js'
import type { MissingEvents } from './missing-events.js'
import { OriginPatience } from './origin-patience.js'
import type { OutlierFetcher } from './outlier-fetcher.js'
import type { PulledEvents } from './pulled-events.js'
import { judgeByPolicy, type ReceivedEventPolicy } from './received-event-policy.js'

interface Parts {
  readonly receiver: EventReceiver
  readonly outliers: OutlierFetcher
  readonly missing: MissingEvents
  readonly pulled: PulledEvents
  readonly policy: ReceivedEventPolicy | undefined
  readonly clock: Pick<Clock, 'now' | 'setTimeout'>
  readonly logger: Logger
}

/**
 * How long its sender is asked for what one event refers to, whatever number of questions that takes: the room waits. What
 * has come by then is kept, so that the sender's next event begins where this one has ended.
 */
const MAX_ASKING_MS = 3 * 60_000

/** An event and the server that has sent it. */
export interface SentEvent {
  readonly origin: ServerName
  readonly event: Event
}

/** What whoever has events processed wants to know, and to be told. */
export interface ProcessingTurn {
  /** Aborts when there is no time left: then nobody is asked any more. */
  readonly signal: AbortSignal
  /** Runs what waits for other servers: others may be dealt with meanwhile. */
  readonly whileAsking: <T>(ask: () => Promise<T>) => Promise<T>
}

/** The turn of one whose sender waits for it. */
function ownTurn(): ProcessingTurn {
  return { signal: new AbortController().signal, whileAsking: (ask) => ask() }
}

function isOver({ signal }: ProcessingTurn): boolean {
  return signal.aborted
}

/** The sender of an event, and how long it is asked. */
interface Asked {
  readonly origin: ServerName
  readonly signal: AbortSignal
}

/**
 * Takes in events that were sent to this server, once their format, signatures and hashes have been checked.
 * https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export class PduProcessor {
  readonly #parts: Parts
  readonly #patience: OriginPatience

  constructor(parts: Parts) {
    this.#parts = parts
    this.#patience = new OriginPatience(parts.clock)
  }

  /**
   * Judges an event and stores it with the outcome. What it refers to is asked of the server that has sent it; an event
   * whose sender does not tell what came before it is dropped: nothing could be said of it but what that server likes.
   */
  async process(
    origin: ServerName,
    room: RoomRecord,
    received: Event,
    options: Pick<ReceiveOptions, 'inTransaction'> = {},
  ): Promise<Reception> {
    const offered = await judgeByPolicy(this.#parts.policy, room, received)
    return this.#process(origin, room, offered, { ...options, turn: ownTurn() })
  }

  /**
   * As `process` for several events in the order in which they came: those that refer to nothing unknown are judged and
   * stored together. Gives what became of each; those at the end for which there was no time left are left out, as is
   * one that nobody could be asked about in time.
   */
  async processAll(
    room: RoomRecord,
    sent: readonly SentEvent[],
    turn: ProcessingTurn = ownTurn(),
  ): Promise<Reception[]> {
    const offered = await turn.whileAsking(() => this.#judgeAll(room, sent, turn.signal))
    const receptions: Reception[] = []
    while (receptions.length < offered.length && !isOver(turn)) {
      const start = receptions.length
      for (const reception of await this.#parts.receiver.receiveAll(room, offered.slice(start), 'live')) {
        const { origin, event } = sent[receptions.length]!
        if (reception.outcome === 'missing') {
          const completed = await this.#process(origin, room, offered[receptions.length]!, { turn })
          if (completed.outcome === 'missing' && isOver(turn)) return receptions
          receptions.push(completed)
        } else {
          this.#log(origin, event, reception)
          receptions.push(reception)
        }
      }
    }
    return receptions
  }

  /** Those that were judged before `signal` aborts. */
  async #judgeAll(
    room: RoomRecord,
    sent: readonly SentEvent[],
    signal: AbortSignal,
  ): Promise<OfferedEvent[]> {
    const offered: OfferedEvent[] = []
    for (const { event } of sent) {
      if (signal.aborted) break
      offered.push(await judgeByPolicy(this.#parts.policy, room, event))
    }
    return offered
  }

  async #process(
    origin: ServerName,
    room: RoomRecord,
    { event, isUnwanted }: OfferedEvent,
    { turn, ...options }: Pick<ReceiveOptions, 'inTransaction'> & { readonly turn: ProcessingTurn },
  ): Promise<Reception> {
    const { receiver, clock } = this.#parts
    const receive = (): Promise<Reception> => receiver.receive(room, event, { ...options, isUnwanted })
    let reception = await receive()
    if (reception.outcome === 'missing' && this.#patience.mayAsk(room.roomNid, origin)) {
      await this.#patience.ask(room.roomNid, origin, async () => {
        reception = await turn.whileAsking(() =>
          withTimeLimit(
            clock,
            MAX_ASKING_MS,
            (signal) => this.#complete({ origin, signal }, room, event, { receive, reception }),
            turn.signal,
          ),
        )
        return reception.outcome !== 'missing'
      })
    }
    this.#log(origin, event, reception)
    return reception
  }

  /** What becomes of an event when its sender is asked for what it refers to. */
  async #complete(
    asked: Asked,
    room: RoomRecord,
    event: Event,
    given: { readonly receive: () => Promise<Reception>; readonly reception: Reception },
  ): Promise<Reception> {
    const { receive } = given
    let { reception } = given
    if (reception.outcome === 'missing' && reception.prevEvents.length > 0) {
      await this.#fillGap(asked, room, event)
      reception = await receive()
    }
    // Last, since its auth events may be among those that were missing before it.
    if (reception.outcome === 'missing' && reception.prevEvents.length === 0) {
      await this.#parts.outliers.fetchAuthEvents(room, event, {
        missing: reception.authEvents,
        servers: [asked.origin],
        signal: asked.signal,
      })
      reception = await receive()
    }
    return reception
  }

  async #fillGap({ origin, signal }: Asked, room: RoomRecord, event: Event): Promise<void> {
    const events = await this.#parts.missing.fetch(room, event, origin, signal)
    const others = events.filter(({ eventId }) => eventId !== event.eventId)
    await this.#parts.pulled.receive(room, others, { kind: 'live', servers: [origin], signal })
  }

  #log(origin: ServerName, { eventId, roomId }: Event, reception: Reception): void {
    const { logger } = this.#parts
    const fields = { origin, eventId, roomId }
    switch (reception.outcome) {
      case 'rejected':
        logger.info({ ...fields, reason: reception.reason }, 'Rejected an event')
        break
      case 'softFailed':
        logger.info(fields, 'An event failed softly')
        break
      case 'missing': {
        const { prevEvents, authEvents } = reception
        logger.info(
          { ...fields, prevEvents, authEvents },
          'Dropped an event: what it refers to cannot be had',
        )
        break
      }
      case 'accepted':
      case 'known':
    }
  }
}
