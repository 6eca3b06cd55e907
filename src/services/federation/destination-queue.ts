import type { ServerName } from '../../protocol/ids.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { CatchUpPart, DestinationBacklog, OutboxPart, StickyProgress } from './destination-backlog.js'
import { MissedReceipts, type ReceiptBacklog } from './missed-receipts.js'
import { subjectOf, toEdus, type EduJson, type OutgoingEdu } from './outgoing-edus.js'
import {
  NO_CATCH_UP,
  NO_OUTBOX,
  NO_REST,
  sizeOf,
  toTransaction,
  withoutPassing,
  type Delivery,
  type Outgoing,
  type QueuedPdu,
  type Transaction,
} from './outgoing-transactions.js'
import { RefusedTransactions } from './refused-transactions.js'

export interface DestinationQueueDependencies {
  readonly clock: Clock
  readonly backlog: DestinationBacklog
  readonly receipts: ReceiptBacklog
  /** Sends a transaction; rejects for nothing but bugs. */
  readonly deliver: (destination: ServerName, transaction: Transaction) => Promise<Delivery>
  /**
   * Runs an attempt at a server that may be away, in its turn: what it is to be told is read only then, so that it does
   * not pile up in memory for all those that are away.
   */
  readonly inTurn: (attempt: () => Promise<boolean>) => Promise<boolean>
  /** Names the next transaction, as no other is named. */
  readonly nextTxnId: () => string
  /** These events are with the destination, or written down as missed. */
  readonly onSettled: (pdus: readonly QueuedPdu[]) => void
  /** The destination does not take these of the outbox, whatever they come with. */
  readonly onGivenUp: (edus: readonly EduJson[]) => void
  /** Nothing waits any more: the queue can be forgotten. */
  readonly onIdle: () => void
  readonly onError: (error: unknown) => void
}

const MAX_PDUS = 50
const MAX_EDUS = 100
/** What waits in memory at most; a destination that is slower catches up by rooms. */
const MAX_QUEUED_PDUS = 500
const MAX_QUEUED_EDUS = 1_000
/** For so long a destination that cannot be reached gets every event afterwards, then only the newest of each room. */
const PATIENCE_MS = 2 * 60_000
const AFTER_BUG_MS = 30_000

/**
 * Sends one server what it is to know, one transaction at a time. While the server can be reached, events wait in memory;
 * when it cannot, only the rooms in which it has missed something are written down, each once. Until then, a transaction
 * that was not answered is sent again under its name: the server may have it.
 * https://spec.matrix.org/latest/server-server-api/#transactions
 */
export class DestinationQueue {
  readonly destination: ServerName
  readonly #deps: DestinationQueueDependencies
  #pdus: QueuedPdu[] = []
  readonly #edus = new Map<string, OutgoingEdu>()
  readonly #missedReceipts: MissedReceipts
  #hasOutbox = false
  readonly #refused = new RefusedTransactions(MAX_EDUS)
  #isBehind = false
  /** Rooms that are written down as missed since they were last read, and whether the destination has left them. */
  readonly #missed = new Map<number, boolean>()
  /** Of the sticky events of the room that is being caught up with. */
  #progress: StickyProgress | undefined
  /** The last writing down of missed rooms. */
  #recorded: Promise<void> = Promise.resolve()
  #failingSince: number | undefined
  /** What waits is of an earlier start, and the destination has not been tried since. */
  #isResumed = false
  /** What has to be sent again before all else. */
  #unanswered: Outgoing | undefined
  #running: Promise<void> | undefined
  #timer: Timer | undefined
  #stopped = false

  constructor(destination: ServerName, deps: DestinationQueueDependencies) {
    this.destination = destination
    this.#deps = deps
    this.#missedReceipts = new MissedReceipts(destination, deps.receipts, deps.onError)
  }

  /** Nothing waits: the queue can be forgotten. */
  get isIdle(): boolean {
    return this.#running === undefined && this.#timer === undefined && !this.#hasWork()
  }

  /** The last attempt has failed. */
  get isFailing(): boolean {
    return this.#failingSince !== undefined
  }

  /** Takes an event; false when it has to be written down as missed, which the caller does and then tells `recorded`. */
  addPdu(pdu: QueuedPdu): boolean {
    if (!this.#isBehind && this.#pdus.length < MAX_QUEUED_PDUS) {
      this.#pdus.push(pdu)
      return true
    }
    this.#isBehind = true
    return false
  }

  /** Whether it is written down already that the destination has missed something of a room, and more is to come. */
  mustRecord({ roomNid, isLast }: QueuedPdu): boolean {
    if (this.#missed.get(roomNid) === false && !isLast) return false
    this.#missed.set(roomNid, isLast)
    return true
  }

  /** Rooms are being written down as missed: catching up waits for it. */
  recording(written: Promise<void>): void {
    const earlier = this.#recorded
    this.#recorded = written.catch(() => undefined).then(() => earlier)
  }

  /** Takes back an event that could not be written down as missed: that is tried again. */
  keep(pdu: QueuedPdu): void {
    this.#missed.delete(pdu.roomNid)
    this.#pdus.push(pdu)
    this.#isBehind = true
  }

  /** Something passes by: nothing but receipts for those who cannot be reached just now. */
  addEdu(edu: OutgoingEdu): void {
    const mustWait = this.isFailing || this.#isBehind
    if (edu.kind === 'receipt' && (mustWait || this.#missedReceipts.areAny)) {
      this.#missedReceipts.note(edu)
      return
    }
    if (mustWait) return
    const subject = subjectOf(edu)
    this.#edus.delete(subject)
    if (this.#edus.size < MAX_QUEUED_EDUS) this.#edus.set(subject, edu)
    else if (edu.kind === 'receipt') this.#missedReceipts.note(edu)
  }

  /** It is written down that the destination has missed receipts after a position. */
  noteReceipts(after: number): void {
    this.#missedReceipts.resume(after)
  }

  /** All that waits was left by an earlier start. */
  noteResumed(): void {
    this.#isResumed = true
  }

  /** Something waits in the outbox. */
  noteOutbox(): void {
    this.#hasOutbox = true
  }

  /** The destination has missed something. */
  noteBehind(): void {
    this.#isBehind = true
  }

  /** Sends what waits, unless the destination is to be left alone. */
  flush(): void {
    if (this.#timer === undefined) this.wake()
  }

  /** The destination lives, or may be tried again. */
  wake(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#stopped || this.#running !== undefined || !this.#hasWork()) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      // What came in the last moment.
      if (this.#timer === undefined) this.wake()
      if (this.isIdle) this.#deps.onIdle()
    })
  }

  /** Tries again at a time. */
  wakeAt(ts: number): void {
    if (this.#stopped) return
    this.#timer?.cancel()
    const { clock } = this.#deps
    this.#timer = clock.setTimeout(
      () => {
        this.wake()
        if (this.isIdle) this.#deps.onIdle()
      },
      Math.max(0, ts - clock.now()),
    )
  }

  /** Begins nothing any more; resolves when the transaction on its way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#running
    this.#missEdus([...this.#edus.values()])
    await this.#missedReceipts.settled()
  }

  #hasWork(): boolean {
    return (
      this.#unanswered !== undefined ||
      this.#pdus.length > 0 ||
      this.#edus.size > 0 ||
      this.#hasOutbox ||
      this.#isBehind ||
      this.#missedReceipts.areAny
    )
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped && this.#hasWork()) {
        const mayBeAway = this.isFailing || this.#isResumed
        if (!(await (mayBeAway ? this.#deps.inTurn(() => this.#attempt()) : this.#attempt()))) return
      }
    } catch (error) {
      this.#deps.onError(error)
      // Whether it could be read or not.
      this.#hasOutbox = true
      this.wakeAt(this.#deps.clock.now() + AFTER_BUG_MS)
    }
  }

  /** Sends what waits, as much as one transaction holds. False when nothing more is to be tried now. */
  async #attempt(): Promise<boolean> {
    if (this.#stopped) return false
    const outgoing = this.#unanswered ?? (await this.#collect())
    return outgoing === undefined || this.#send(outgoing)
  }

  /** The next transaction; undefined when there was nothing after all. */
  async #collect(): Promise<Outgoing | undefined> {
    const { turn } = this.#refused
    const outbox = turn === 'all' || turn === 'outbox' ? await this.#loadOutbox() : NO_OUTBOX
    const rest = turn === 'all' || turn === 'rest' ? await this.#collectRest(outbox) : NO_REST
    const outgoing = { txnId: this.#deps.nextTxnId(), outbox, ...rest }
    const { pdus, passing, catchUp } = outgoing
    const size = pdus.length + passing.length + outbox.edus.length + sizeOf(catchUp)
    if (size > 0 || turn === 'nothing') return outgoing
    this.#refused.skip()
    this.#settleReceipts(outgoing)
    return undefined
  }

  async #loadOutbox(): Promise<OutboxPart> {
    if (!this.#hasOutbox) return NO_OUTBOX
    // Before it is read: what comes meanwhile is noted anew.
    this.#hasOutbox = false
    const outbox = await this.#deps.backlog.loadOutbox(this.destination, this.#refused.max)
    if (outbox.hasMore) this.#hasOutbox = true
    return outbox
  }

  /** What a transaction has besides the outbox. */
  async #collectRest(outbox: OutboxPart): Promise<Omit<Outgoing, 'txnId' | 'outbox'>> {
    const catchUp = this.#isBehind ? await this.#catchUp() : NO_CATCH_UP
    // In the order of their events: what is in memory came before what was missed, or after it was made up for.
    const pdus = this.#isBehind ? [] : this.#pdus.slice(0, MAX_PDUS)
    // After the events that they are about.
    const receipts = this.#isBehind ? undefined : await this.#missedReceipts.load()
    const waiting = [...this.#edus.values(), ...(receipts?.receipts ?? [])]
    const passing = toEdus(waiting, MAX_EDUS - outbox.edus.length).taken
    for (const edu of passing) this.#edus.delete(subjectOf(edu))
    return { pdus, passing, receipts, catchUp }
  }

  async #catchUp(): Promise<CatchUpPart> {
    await this.#recorded
    await this.#recordQueued()
    // Before they are read: what is missed from here on is written down again.
    this.#missed.clear()
    const part = await this.#deps.backlog.loadCatchUp(this.destination, this.#progress)
    if (sizeOf(part) > 0) return part
    await this.#recorded
    // Whatever is missed from here on is on its way into the database: then there is another round.
    if (this.#missed.size === 0) this.#isBehind = false
    return part
  }

  /** Writes down what waits in memory as missed. */
  async #recordQueued(): Promise<void> {
    const pdus = this.#pdus
    if (pdus.length === 0) return
    this.#pdus = []
    const rooms = new Map(pdus.map((pdu) => [pdu.roomNid, pdu]))
    // What was missed of the others is newer.
    const unknown = [...rooms.values()].filter(({ roomNid }) => !this.#missed.has(roomNid))
    try {
      await this.#deps.backlog.recordMissed(
        unknown.map(({ roomNid, streamOrdering, isLast }) => ({
          destination: this.destination,
          roomNid,
          missedAt: streamOrdering,
          isLast,
        })),
      )
    } catch (error) {
      this.#pdus = [...pdus, ...this.#pdus]
      throw error
    }
    this.#deps.onSettled(pdus)
  }

  /** False when the destination is to be left alone. */
  async #send(outgoing: Outgoing): Promise<boolean> {
    const { backlog, deliver, onSettled } = this.#deps
    const { pdus, outbox, catchUp } = outgoing
    const delivery = await deliver(this.destination, toTransaction(outgoing, MAX_EDUS))
    this.#isResumed = false
    if (delivery.outcome === 'later' || delivery.outcome === 'refused') {
      await this.#fail(outgoing, delivery)
      return false
    }
    this.#failingSince = undefined
    this.#unanswered = undefined
    await backlog.acknowledge(this.destination, outbox, catchUp)
    this.#noteProgress(catchUp)
    await this.#giveUp(this.#refused.taken())
    this.#settleReceipts(outgoing)
    this.#pdus.splice(0, pdus.length)
    onSettled(pdus)
    return true
  }

  #noteProgress({ rooms, progress }: CatchUpPart): void {
    const isDone = rooms.some(({ roomNid }) => roomNid === this.#progress?.roomNid)
    if (progress !== undefined || isDone) this.#progress = progress
  }

  async #giveUp(outbox: OutboxPart | undefined): Promise<void> {
    if (outbox === undefined) return
    await this.#deps.backlog.acknowledge(this.destination, outbox, NO_CATCH_UP)
    this.#deps.onGivenUp(outbox.edus)
  }

  #settleReceipts({ receipts, passing }: Outgoing): void {
    if (receipts !== undefined) this.#missedReceipts.settle(receipts, new Set(passing))
  }

  /** These will not be sent. */
  #missEdus(edus: readonly OutgoingEdu[]): void {
    for (const edu of edus) if (edu.kind === 'receipt') this.#missedReceipts.note(edu)
  }

  async #fail(
    outgoing: Outgoing,
    { outcome, retryAt }: Delivery & { readonly retryAt: number },
  ): Promise<void> {
    const { clock } = this.#deps
    this.#missEdus([...outgoing.passing, ...this.#edus.values()])
    this.#edus.clear()
    this.#failingSince ??= clock.now()
    this.wakeAt(retryAt)
    if (clock.now() - this.#failingSince < PATIENCE_MS && retryAt - clock.now() < PATIENCE_MS) {
      this.#unanswered = withoutPassing(outgoing)
      return
    }
    this.#unanswered = undefined
    if (outcome === 'refused') this.#refused.refused(outgoing.outbox)
    if (outgoing.outbox.edus.length > 0) this.#hasOutbox = true
    if (this.#pdus.length > 0) {
      this.#isBehind = true
      await this.#recordQueued()
    }
  }
}
