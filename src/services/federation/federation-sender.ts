import { parseServerName, type ServerName } from '../../protocol/ids.js'
import type { MissedRoom } from '../../storage/stores/missed-rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { randomToken } from '../../util/random.js'
import { Semaphore } from '../../util/semaphore.js'
import type { Destinations } from '../remote/destinations.js'
import type { FederationClient } from '../remote/federation-client.js'
import { FederationError } from '../remote/federation-error.js'
import type { DestinationBacklog } from './destination-backlog.js'
import { DestinationQueue } from './destination-queue.js'
import type { StoredReceiptBacklog } from './missed-receipts.js'
import type { EventAges } from './event-ages.js'
import type { OutgoingEdu } from './outgoing-edus.js'
import type { Delivery, QueuedPdu, Transaction } from './outgoing-transactions.js'

/** An event and who is to have it. */
export interface AddressedPdu {
  readonly pdu: QueuedPdu
  readonly destination: ServerName
}

export interface FederationSenderDependencies {
  readonly serverName: ServerName
  readonly clock: Clock
  readonly client: Pick<FederationClient, 'request' | 'mayTalkTo'>
  readonly destinations: Pick<Destinations, 'filterReachable' | 'retryAtTs' | 'onAlive'>
  readonly backlog: DestinationBacklog
  readonly receipts: StoredReceiptBacklog
  readonly ages?: Pick<EventAges, 'onSent'> | undefined
  readonly logger: Logger
}

/** Destinations that failed last time and are tried at once: the others wait for nobody. */
const MAX_RETRIES_AT_ONCE = 50
const MIN_DELAY_MS = 250
/** A destination that answers, but refuses transactions, is tried again after this long, which doubles. */
const REFUSED_DELAY_MS = 60_000
const MAX_REFUSED_DELAY_MS = 60 * 60_000
/** What is on its way when the server stops has this long. */
const DRAIN_MS = 3_000
/** Of the answer to a transaction, which has a line for each of its events. */
const MAX_ANSWER_BYTES = 1024 * 1024
const MAX_LOGGED_CHARS = 500

/**
 * Sends other servers what they are to know: a queue for each that something waits for. Who has nothing to be told costs
 * nothing, and who cannot be reached an object and a timer.
 * https://spec.matrix.org/latest/server-server-api/#transactions
 */
export class FederationSender {
  readonly #deps: FederationSenderDependencies
  readonly #queues = new Map<ServerName, DestinationQueue>()
  readonly #retries = new Semaphore(MAX_RETRIES_AT_ONCE)
  readonly #refusals = new Map<ServerName, number>()
  readonly #stopping = new AbortController()
  readonly #settled = new Set<(pdus: readonly QueuedPdu[]) => void>()
  /** No other start of the server has the same. */
  readonly #txnPrefix = randomToken(10)
  #transactions = 0
  #unsubscribe: (() => void) | undefined
  #isStarted = false

  constructor(deps: FederationSenderDependencies) {
    this.#deps = deps
  }

  /** Calls `listener` with events that are with their destination, or written down as missed by it. */
  onSettled(listener: (pdus: readonly QueuedPdu[]) => void): void {
    this.#settled.add(listener)
  }

  /** How many servers something waits for. */
  get queues(): number {
    return this.#queues.size
  }

  /** Takes up what the last stop has left. */
  async start(): Promise<void> {
    const { backlog, receipts, destinations, clock } = this.#deps
    this.#isStarted = true
    this.#unsubscribe = destinations.onAlive((server) => this.#queues.get(server)?.wake())
    const { behind, awaited } = await backlog.listDestinations()
    for (const server of behind) this.#queueOf(server).noteBehind()
    for (const server of awaited) this.#queueOf(server).noteOutbox()
    for (const [server, after] of await receipts.list()) this.#queueOf(server).noteReceipts(after)
    for (const queue of this.#queues.values()) queue.noteResumed()
    // Reads of all at once what is then asked for each.
    await destinations.filterReachable([...this.#queues.keys()])
    for (const [server, queue] of this.#queues) {
      const retryAt = await destinations.retryAtTs(server)
      if (retryAt > clock.now()) queue.wakeAt(retryAt)
      else queue.wake()
    }
  }

  /** Begins nothing any more; what is on its way may end. */
  async stop(): Promise<void> {
    this.#unsubscribe?.()
    const stopped = Promise.all([...this.#queues.values()].map((queue) => queue.stop()))
    const timer = this.#deps.clock.setTimeout(() => this.#stopping.abort(), DRAIN_MS)
    await stopped
    timer.cancel()
  }

  /** Queues events. Resolves when those that cannot be sent soon are written down, or wait to be. Fails never. */
  async addPdus(pdus: readonly AddressedPdu[]): Promise<void> {
    const missed: MissedRoom[] = []
    const untaken: { readonly queue: DestinationQueue | undefined; readonly pdu: QueuedPdu }[] = []
    const queues = new Set<DestinationQueue>()
    const behind = new Set<DestinationQueue>()
    for (const { pdu, destination } of pdus) {
      const queue = this.#mayTell(destination) ? this.#queueOf(destination) : undefined
      if (queue !== undefined) queues.add(queue)
      if (queue?.addPdu(pdu) === true) continue
      untaken.push({ queue, pdu })
      if (queue?.mustRecord(pdu) !== true) continue
      behind.add(queue)
      missed.push({ destination, roomNid: pdu.roomNid, missedAt: pdu.streamOrdering, isLast: pdu.isLast })
    }
    const recorded = this.#deps.backlog.recordMissed(missed)
    for (const queue of behind) queue.recording(recorded)
    try {
      await recorded
      this.#settle(untaken.map(({ pdu }) => pdu))
    } catch (err) {
      this.#deps.logger.error({ err }, 'What other servers have missed could not be written down')
      for (const { queue, pdu } of untaken) queue?.keep(pdu)
      this.#settle(untaken.flatMap(({ queue, pdu }) => (queue === undefined ? [pdu] : [])))
    }
    this.#flush(queues)
  }

  /** Tells these servers of something that passes by. */
  addEdu(destinations: Iterable<ServerName>, edu: OutgoingEdu): void {
    for (const destination of destinations) {
      if (!this.#mayTell(destination)) continue
      const queue = this.#queueOf(destination)
      queue.addEdu(edu)
      this.#flush([queue])
    }
  }

  /** Something has been put into the outbox for these servers. */
  noteOutbox(destinations: Iterable<ServerName>): void {
    for (const destination of destinations) {
      const queue = this.#queueOf(destination)
      queue.noteOutbox()
      this.#flush([queue])
    }
  }

  #flush(queues: Iterable<DestinationQueue>): void {
    if (!this.#isStarted) return
    for (const queue of queues) {
      queue.flush()
      if (queue.isIdle) this.#queues.delete(queue.destination)
    }
  }

  #mayTell(destination: ServerName): boolean {
    const { serverName, client } = this.#deps
    return (
      destination !== serverName &&
      client.mayTalkTo(destination) &&
      parseServerName(destination) !== undefined
    )
  }

  #queueOf(destination: ServerName): DestinationQueue {
    let queue = this.#queues.get(destination)
    if (queue === undefined) {
      const { clock, backlog, receipts, logger } = this.#deps
      queue = new DestinationQueue(destination, {
        clock,
        backlog,
        receipts,
        deliver: (...args) => this.#send(...args),
        inTurn: (attempt) => this.#retries.run(attempt),
        nextTxnId: () => `${this.#txnPrefix}${++this.#transactions}`,
        onSettled: (pdus) => this.#settle(pdus),
        onGivenUp: (edus) => {
          const types = edus.map(({ edu_type: type }) => type)
          logger.warn({ destination, types }, 'What another server refuses by itself will not be sent to it')
        },
        onIdle: () => this.#queues.delete(destination),
        onError: (err) => logger.error({ err, destination }, 'A queue of another server has failed'),
      })
      this.#queues.set(destination, queue)
    }
    return queue
  }

  #settle(pdus: readonly QueuedPdu[]): void {
    if (pdus.length > 0) for (const listener of this.#settled) listener(pdus)
  }

  async #send(destination: ServerName, { txnId, pdus, edus }: Transaction): Promise<Delivery> {
    const { client, serverName, clock, ages } = this.#deps
    try {
      const answer = await client.request({
        destination,
        method: 'PUT',
        path: `/_matrix/federation/v1/send/${txnId}`,
        body: {
          origin: serverName,
          origin_server_ts: clock.now(),
          pdus: [...pdus],
          ...(edus.length > 0 && { edus: [...edus] }),
        },
        maxBytes: MAX_ANSWER_BYTES,
        signal: this.#stopping.signal,
      })
      this.#refusals.delete(destination)
      this.#logRefused(destination, answer['pdus'], pdus.length)
      const ts = pdus.at(-1)?.['origin_server_ts']
      if (typeof ts === 'number') ages?.onSent(destination, ts)
      return { outcome: 'delivered' }
    } catch (error) {
      if (error instanceof FederationError) return this.#undelivered(error)
      throw error
    }
  }

  async #undelivered(error: FederationError): Promise<Delivery> {
    const { destination, kind } = error
    const { client, destinations, clock, logger } = this.#deps
    // The operator does not want it to be told anything; of an address that is denied another may come.
    if (kind === 'denied' && !client.mayTalkTo(destination)) return { outcome: 'never' }
    // Whatever it says, it has taken the transaction.
    if (kind === 'malformed' && error.status !== undefined) return { outcome: 'delivered' }
    const retryAt = await destinations.retryAtTs(destination)
    if (retryAt > clock.now()) {
      logger.debug({ destination, reason: error.message }, 'Another server cannot be reached')
      return { outcome: 'later', retryAt }
    }
    // Others have failed with it, or this server stops. All else is held against nobody: without a longer rest a server
    // that answers with nonsense would be asked again and again.
    if (kind === 'unreachable' || kind === 'backoff') {
      return { outcome: 'later', retryAt: clock.now() + MIN_DELAY_MS }
    }
    const refusals = (this.#refusals.get(destination) ?? 0) + 1
    this.#refusals.set(destination, refusals)
    logger.warn({ destination, reason: error.message }, 'Another server refuses a transaction')
    const delay = Math.min(MAX_REFUSED_DELAY_MS, REFUSED_DELAY_MS * 2 ** (refusals - 1))
    return { outcome: kind === 'refused' ? 'refused' : 'later', retryAt: clock.now() + delay }
  }

  /** `sent`: of how many events something can be said. */
  #logRefused(destination: ServerName, results: unknown, sent: number): void {
    if (!isJsonObject(results)) return
    const refused = Object.entries(results).filter(([, result]) => isJsonObject(result) && 'error' in result)
    for (const [eventId, result] of refused.slice(0, sent)) {
      const error = JSON.stringify((result as JsonObject)['error']).slice(0, MAX_LOGGED_CHARS)
      const fields = { destination, eventId: eventId.slice(0, MAX_LOGGED_CHARS), error }
      this.#deps.logger.info(fields, 'Another server does not take an event')
    }
  }
}
