import { LRUCache } from 'lru-cache'
import type { Database } from '../../storage/database.js'
import { StateSnapshot } from '../../storage/state-snapshot.js'
import type { EventGraphStore, ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { forbidden, notFound } from '../../protocol/errors.js'
import { nextTurn } from '../../util/clock.js'
import { NOTHING_PENDING, type PendingEvent, type PendingEvents } from './pending-events.js'
import type { SnapshotRef } from './snapshot-builder.js'
import type { StateResolver } from './state-resolver.js'

/**
 * Where a room's graph ends, as its writer sees it: ahead of the database by the events that wait for their commit.
 * Changed only under the room's lock.
 */
export interface RoomHead {
  readonly room: RoomRecord
  /** Deepest first. */
  extremities: readonly ForwardExtremity[]
  /** The current state: that at the extremities. */
  state: SnapshotRef
  /** Events that are not committed yet, by nid: their rows cannot be read. */
  readonly pending: Map<number, PendingEvent>
  /** Set when an event of this head was not committed: nothing may be built on it any more. */
  failed: boolean
}

/** The heads of the rooms that are being written to. */
export class RoomHeads {
  readonly #db: Database
  readonly #graph: EventGraphStore
  readonly #resolver: StateResolver
  readonly #heads = new LRUCache<number, RoomHead>({
    maxSize: 48 * 1024 * 1024,
    sizeCalculation: ({ state }) => 1_000 + 12 * state.snapshot.size,
  })
  /** Those ahead of the database, which cannot be read anew. */
  readonly #busy = new Map<number, RoomHead>()
  /** Rooms that were removed: who has found one before must not write to it any more. */
  readonly #closed = new Set<number>()

  constructor(db: Database, graph: EventGraphStore, resolver: StateResolver) {
    this.#db = db
    this.#graph = graph
    this.#resolver = resolver
  }

  /**
   * The room's head, read from the database when this process has not written to the room lately. 403 `M_FORBIDDEN` for
   * a room that this server knows but has never been in.
   */
  async get(room: RoomRecord): Promise<RoomHead> {
    const head = await this.find(room)
    if (!head) throw forbidden('This server is not in the room')
    return head
  }

  /** As `get`, but undefined for a room that this server has never been in, and for one that was removed. */
  async find(room: RoomRecord): Promise<RoomHead | undefined> {
    const known = this.#busy.get(room.roomNid) ?? this.#heads.get(room.roomNid)
    if (known) return known
    const extremities = await this.#graph.listForwardExtremities(this.#db.reader, room.roomNid)
    if (extremities.length === 0) return undefined
    const state = await this.#resolver.resolve(
      room,
      extremities.map((extremity) => extremity.stateAfter),
    )
    // A writer may have read it, and gone on, while somebody who only looks was reading.
    const newer = this.#busy.get(room.roomNid) ?? this.#heads.get(room.roomNid)
    if (newer) return newer
    if (this.#closed.has(room.roomNid)) return undefined
    const head: RoomHead = { room, extremities, state, pending: new Map(), failed: false }
    this.#heads.set(room.roomNid, head)
    return head
  }

  /** What has been decided on in a room and cannot be read yet. Throws 404 `M_NOT_FOUND` for a room that was removed. */
  pendingOf(room: RoomRecord): PendingEvents {
    if (this.#closed.has(room.roomNid)) throw notFound('Unknown room')
    return this.#busy.get(room.roomNid)?.pending ?? NOTHING_PENDING
  }

  /** Resolves when nothing is pending in a room. Who holds its lock finds all that was decided on: nothing new comes. */
  async whenCommitted(room: RoomRecord): Promise<void> {
    while (this.pendingOf(room).size > 0) await nextTurn()
  }

  /** Makes a head go on to where events lead that will be committed next. */
  advance(
    head: RoomHead,
    to: Pick<RoomHead, 'extremities' | 'state'>,
    events: Iterable<readonly [number, PendingEvent]>,
  ): void {
    head.extremities = to.extremities
    // Its rows are written with the events.
    head.state = { ...to.state, rows: [] }
    for (const [nid, event] of events) head.pending.set(nid, event)
    this.#heads.set(head.room.roomNid, head)
    this.#busy.set(head.room.roomNid, head)
  }

  /** Events have been committed. */
  settle(head: RoomHead, nids: readonly number[]): void {
    for (const nid of nids) head.pending.delete(nid)
    if (head.pending.size === 0) this.#release(head)
  }

  /** What is known of a room's end is out of date: the next writer reads it anew. Nothing of it waits for its commit. */
  forget(room: RoomRecord): void {
    this.#heads.delete(room.roomNid)
  }

  /** The room is removed, and nothing may be written to it any more. Nothing of it waits for its commit. */
  close(room: RoomRecord): void {
    this.#heads.delete(room.roomNid)
    this.#closed.add(room.roomNid)
  }

  /** Nothing more may be built on this head: the next writer reads the room anew. */
  fail(head: RoomHead): void {
    head.failed = true
    this.#release(head)
    if (this.#heads.get(head.room.roomNid) === head) this.#heads.delete(head.room.roomNid)
  }

  #release(head: RoomHead): void {
    if (this.#busy.get(head.room.roomNid) === head) this.#busy.delete(head.room.roomNid)
  }
}

/** For events that lead a room nowhere: outliers. */
export function detachedHead(room: RoomRecord): RoomHead {
  return {
    room,
    extremities: [],
    state: { nid: 0, snapshot: StateSnapshot.empty, rows: [] },
    pending: new Map(),
    failed: false,
  }
}
