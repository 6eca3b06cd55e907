import type { Database, Tx } from '../../storage/database.js'
import type { EventGraphStore } from '../../storage/stores/event-graph.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { EventWrite, EventWriter, PlacedEventWrite } from '../../storage/stores/event-writer.js'
import type { MessageWriter } from '../../storage/stores/message-writer.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { nextTurn } from '../../util/clock.js'
import type { PositionSink } from '../streams/notifier.js'
import type { EventTail } from './event-tail.js'
import { toStored } from './pending-events.js'
import type { RoomHead, RoomHeads } from './room-heads.js'
import type { SnapshotBuilder } from './snapshot-builder.js'

/** Events of one room that are committed together or not at all. */
export interface EventBatch {
  readonly head: RoomHead
  readonly writes: readonly EventWrite[]
  /** Runs in the transaction before the events are written: the room's own row, an alias. May run again. */
  readonly inTransaction?: (tx: Tx) => Promise<void>
}

interface Waiting {
  readonly batch: EventBatch
  readonly resolve: (stored: readonly StoredEvent[]) => void
  readonly reject: (error: unknown) => void
}

/** What the batch builds on was not committed: the caller reads the room anew and tries again. */
export class StaleHeadError extends Error {
  override readonly name = 'StaleHeadError'
}

/** No more events than this in one transaction, so that a commit stays short. */
const MAX_EVENTS_PER_COMMIT = 250

/** A queue so short is not divided. */
const MIN_BATCHES_PER_COMMIT = 4

interface Parts {
  readonly events: EventsStore
  readonly graph: EventGraphStore
  readonly writer: EventWriter
  readonly messages: MessageWriter
  readonly eventStream: StreamIdGenerator
  readonly backfillStream: StreamIdGenerator
  readonly builder: SnapshotBuilder
  readonly heads: RoomHeads
  readonly positions: PositionSink
  readonly tail: Pick<EventTail, 'offer'>
}

/**
 * Commits events. What waits when a commit ends shares the next one, over all rooms (group commit); within a room the
 * order of the calls is kept. Where commits are quick only half of it does: while the other half is written, the
 * senders of the first are answered and send again, so that neither the database nor this thread waits for the other.
 * Resolves after the commit, when readers can see the position.
 */
export class EventPersister {
  readonly #db: Database
  readonly #parts: Parts
  #queue: Waiting[] = []
  #running: Promise<void> | undefined

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Rejects with `StaleHeadError` when an earlier batch of the same head failed. */
  persist(batch: EventBatch): Promise<readonly StoredEvent[]> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    while (this.#running) await this.#running
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      // Lets those who are about to send, many of whom the last commit has woken, join the next.
      await nextTurn()
      const group = this.#takeGroup()
      try {
        await this.#commit(group)
      } catch (error) {
        if (group.length === 1) this.#fail(group[0]!, error)
        else await this.#commitOneByOne(group)
      }
    }
    // In the same turn as the last look at the queue: whoever comes later must find nobody running.
    this.#running = undefined
  }

  #takeGroup(): Waiting[] {
    const waiting = this.#queue.length
    const share = this.#db.dialect.commitsQuickly
      ? Math.max(MIN_BATCHES_PER_COMMIT, Math.ceil(waiting / 2))
      : waiting
    let events = 0
    let count = 0
    for (const { batch } of this.#queue.slice(0, share)) {
      if (count > 0 && events + batch.writes.length > MAX_EVENTS_PER_COMMIT) break
      events += batch.writes.length
      count++
    }
    return this.#queue.splice(0, count)
  }

  /** One batch of the group cannot be committed: the others shall not suffer for it. */
  async #commitOneByOne(group: readonly Waiting[]): Promise<void> {
    for (const waiting of group) {
      try {
        await this.#commit([waiting])
      } catch (error) {
        this.#fail(waiting, error)
      }
    }
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const usable = group.filter((waiting) => !waiting.batch.head.failed)
    for (const waiting of group) {
      if (waiting.batch.head.failed)
        this.#fail(waiting, new StaleHeadError('An earlier event was not stored'))
    }
    if (usable.length === 0) return
    const placed = await this.#db.write('persist_events', async (tx) => {
      for (const { batch } of usable) if (batch.inTransaction) await batch.inTransaction(tx)
      const writes = await this.#place(
        tx,
        usable.flatMap(({ batch }) => batch.writes),
      )
      tx.afterCommit(() => {
        this.#remember(writes)
      })
      if (await this.#parts.messages.writeLast(tx, writes)) return writes
      await this.#parts.writer.write(tx, writes)
      const redacted = await this.#redactedNids(tx, writes)
      tx.afterCommit(() => {
        this.#forgetRedacted(redacted)
      })
      return writes
    })
    this.#finish(usable, placed)
  }

  /** Gives the events their positions, as late as possible. */
  async #place(tx: Tx, writes: readonly EventWrite[]): Promise<PlacedEventWrite[]> {
    const live = writes.filter(isForward).length
    const backfilled = writes.filter((write) => write.kind === 'backfilled').length
    const forward = live > 0 ? await this.#parts.eventStream.allocate(tx, live) : []
    const backward = backfilled > 0 ? await this.#parts.backfillStream.allocate(tx, backfilled) : []
    let nextForward = 0
    let nextBackward = 0
    return writes.map((write) => {
      if (isForward(write)) return { ...write, streamOrdering: forward[nextForward++]! }
      if (write.kind === 'backfilled') return { ...write, streamOrdering: -backward[nextBackward++]! }
      return { ...write, streamOrdering: null }
    })
  }

  async #redactedNids(tx: Tx, writes: readonly PlacedEventWrite[]): Promise<number[]> {
    const targets = writes.flatMap(({ redaction }) => (redaction?.applied ? [redaction.targetId] : []))
    if (targets.length === 0) return []
    return [...(await this.#parts.events.getNids(tx, targets)).values()]
  }

  #remember(writes: readonly PlacedEventWrite[]): void {
    for (const write of writes) {
      this.#parts.events.remember(toStored(write))
      if (write.authPosition) this.#parts.graph.remember(write.eventNid, write.authPosition)
      this.#parts.builder.committed(write.snapshots)
      const { eventNid, streamOrdering } = write
      if (write.kind !== 'live' || streamOrdering === null || write.stateChanges.length > 0) continue
      this.#parts.tail.offer({ roomNid: write.room.roomNid, eventNid, streamOrdering })
    }
  }

  #forgetRedacted(nids: readonly number[]): void {
    for (const nid of nids) this.#parts.events.forget(nid)
  }

  #finish(group: readonly Waiting[], placed: readonly PlacedEventWrite[]): void {
    const rooms = new Set<RoomId>()
    const users = new Set<UserId>()
    const stored = new Map(placed.map((write) => [write.eventNid, toStored(write)]))
    for (const write of placed) {
      rooms.add(write.room.roomId)
      for (const change of write.stateChanges) {
        if (change.member?.isLocal) users.add(change.stateKey as UserId)
      }
    }
    for (const { batch } of group) {
      this.#parts.heads.settle(
        batch.head,
        batch.writes.map((write) => write.eventNid),
      )
    }
    // Both in this turn, so that whoever has sent can read it too; those who have sent go on before those who wait for it.
    for (const { batch, resolve } of group) {
      resolve(batch.writes.map((write) => stored.get(write.eventNid)!))
    }
    this.#parts.positions.onNewPosition('events', { rooms: [...rooms], users: [...users] })
  }

  #fail(waiting: Waiting, error: unknown): void {
    this.#parts.heads.fail(waiting.batch.head)
    for (const write of waiting.batch.writes) this.#parts.builder.abandoned(write.snapshots)
    waiting.reject(error)
  }
}

/** Whether the next positions of the stream are taken for it. */
function isForward({ kind }: EventWrite): boolean {
  return kind === 'live' || kind === 'outside'
}
