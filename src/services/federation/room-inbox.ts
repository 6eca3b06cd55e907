import { setMaxListeners } from 'node:events'
import { restoreEvent } from '../../protocol/event-format.js'
import type { Event } from '../../protocol/event.js'
import type { ServerName } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { FederationInboxStore, InboxEvent } from '../../storage/stores/federation-inbox.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import { Semaphore } from '../../util/semaphore.js'
import type { InboxShares } from './inbox-shares.js'
import type { ProcessingTurn, SentEvent } from './pdu-processor.js'

/** An event for the inbox. */
export interface StagedEvent {
  readonly room: RoomRecord
  readonly event: Event
}

/**
 * Deals with events in their order; what it cannot deal with it drops. Gives how many it has dealt with: all, unless
 * the turn's `signal` says that there is no time left.
 */
export type InboxHandler = (
  room: RoomRecord,
  sent: readonly SentEvent[],
  turn: ProcessingTurn,
) => Promise<number>

interface Parts {
  readonly store: FederationInboxStore
  readonly rooms: RoomsStore
  readonly handle: InboxHandler
  readonly shares: InboxShares
  readonly logger: Logger
}

const BATCH = 50
/** Rooms that are worked on at the same time, without those that wait for other servers. */
const MAX_ROOMS = 32

/**
 * Events from other servers that wait to be judged: one queue per room, in the order in which they came, which survives
 * a restart. Rooms do not wait for each other.
 */
export class RoomInbox {
  readonly #db: Database
  readonly #parts: Parts
  readonly #places = new Semaphore(MAX_ROOMS)
  readonly #running = new Map<number, Promise<void>>()
  /** Rooms that something came for while they were being worked on. */
  readonly #again = new Set<number>()
  #stopping = new AbortController()

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Takes up what waited when the server stopped. */
  async start(): Promise<void> {
    this.#stopping = new AbortController()
    setMaxListeners(0, this.#stopping.signal)
    await this.#parts.shares.load()
    for (const roomNid of await this.#parts.store.listRooms(this.#db.reader)) this.#wake(roomNid)
  }

  /**
   * Keeps what waits for the next start, also that of which others are being asked; resolves when nothing is worked on any
   * more.
   */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.settle()
  }

  /** Resolves when nothing is worked on any more. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  /** 429 `M_LIMIT_EXCEEDED` for a server of which so much waits that it has to come back later. */
  async requirePlace(origin: ServerName): Promise<void> {
    await this.#parts.shares.require(origin)
  }

  /** Keeps events of a transaction, in its order; they are dealt with after the commit. May run again. */
  async stage(
    tx: Tx,
    { origin, receivedTs }: { origin: ServerName; receivedTs: number },
    events: readonly StagedEvent[],
  ): Promise<void> {
    const rows = events.map(({ room, event }, place): InboxEvent => ({
      roomNid: room.roomNid,
      eventId: event.eventId,
      origin,
      receivedTs,
      place,
      json: event.toText(),
    }))
    await this.#parts.store.insert(tx, rows)
    const rooms = new Set(rows.map(({ roomNid }) => roomNid))
    tx.afterCommit(() => {
      for (const { json } of rows) this.#parts.shares.add(origin, json.length)
      for (const roomNid of rooms) this.#wake(roomNid)
    })
  }

  #wake(roomNid: number): void {
    if (this.#mustStop()) return
    if (this.#running.has(roomNid)) {
      this.#again.add(roomNid)
      return
    }
    const work = this.#places
      .run(() => this.#work(roomNid))
      .catch((err: unknown) => this.#parts.logger.error({ err, roomNid }, 'The inbox of a room has stopped'))
      .finally(() => {
        this.#running.delete(roomNid)
        if (this.#again.delete(roomNid)) this.#wake(roomNid)
      })
    this.#running.set(roomNid, work)
  }

  #mustStop(): boolean {
    return this.#stopping.signal.aborted
  }

  async #work(roomNid: number): Promise<void> {
    const { store, rooms, shares } = this.#parts
    const room = (await rooms.getByNids(this.#db.reader, [roomNid])).get(roomNid)
    while (!this.#mustStop()) {
      this.#again.delete(roomNid)
      const batch = await store.listFirst(this.#db.reader, roomNid, BATCH)
      if (batch.length === 0) return
      const done = room ? await this.#handleAll(room, batch) : batch.length
      const dealtWith = batch.slice(0, done)
      if (dealtWith.length === 0) return
      const ids = dealtWith.map(({ eventId }) => eventId)
      await this.#db.write('empty_federation_inbox', (tx) => store.delete(tx, roomNid, ids))
      for (const { origin, json } of dealtWith) shares.remove(origin, json.length)
      // That was all, unless something has come meanwhile.
      if (batch.length < BATCH && done === batch.length && !this.#again.has(roomNid)) return
    }
  }

  /** How many of the events have been dealt with. */
  async #handleAll(room: RoomRecord, waiting: readonly InboxEvent[]): Promise<number> {
    const turn: ProcessingTurn = {
      signal: this.#stopping.signal,
      whileAsking: (ask) => this.#places.release(ask),
    }
    try {
      return await this.#parts.handle(
        room,
        waiting.map((event) => restore(room, event)),
        turn,
      )
    } catch (err) {
      // It may have failed for that alone.
      if (this.#mustStop()) return 0
      const [first] = waiting
      if (waiting.length > 1 || !first) return this.#handleEach(room, waiting)
      // What fails for no reason of its own is dropped too: it would stand in the way of all that come after it.
      const { origin, eventId } = first
      const fields = { err, origin, eventId, roomId: room.roomId }
      this.#parts.logger.error(fields, 'An event could not be dealt with')
      return 1
    }
  }

  /** One event among others is to blame: the others shall not suffer for it. */
  async #handleEach(room: RoomRecord, waiting: readonly InboxEvent[]): Promise<number> {
    let done = 0
    for (const event of waiting) {
      if (this.#mustStop()) break
      done += await this.#handleAll(room, [event])
    }
    return done
  }
}

function restore({ rules, roomId }: RoomRecord, { origin, eventId, json }: InboxEvent): SentEvent {
  return { origin, event: restoreEvent(rules, json, { eventId, roomId }) }
}
