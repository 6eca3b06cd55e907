import { LRUCache } from 'lru-cache'
import type { Database } from '../../storage/database.js'
import type { EventGraphStore, ForwardExtremity } from '../../storage/stores/event-graph.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { SnapshotRef } from './snapshot-builder.js'
import type { StateResolver } from './state-resolver.js'

/**
 * Where a room's graph ends, as its writer sees it: ahead of the database by the events that wait for their commit.
 * Changed only under the room's lock.
 */
export interface RoomHead {
  readonly room: RoomRecord
  extremities: readonly ForwardExtremity[]
  /** The current state: that at the extremities. */
  state: SnapshotRef
  /** Events that are not committed yet, by nid: their rows cannot be read. */
  readonly pending: Map<number, StoredEvent>
  /** Set when an event of this head was not committed: nothing may be built on it any more. */
  failed: boolean
}

/** The heads of the rooms that are being written to. */
export class RoomHeads {
  readonly #db: Database
  readonly #graph: EventGraphStore
  readonly #resolver: StateResolver
  readonly #heads = new LRUCache<number, RoomHead>({ max: 5_000 })

  constructor(db: Database, graph: EventGraphStore, resolver: StateResolver) {
    this.#db = db
    this.#graph = graph
    this.#resolver = resolver
  }

  /** The room's head, read from the database when this process has not written to the room lately. */
  async get(room: RoomRecord): Promise<RoomHead> {
    const known = this.#heads.get(room.roomNid)
    if (known && !known.failed) return known
    const extremities = await this.#graph.listForwardExtremities(this.#db.reader, room.roomNid)
    const state = await this.#resolver.resolve(
      room,
      extremities.map((extremity) => extremity.stateAfter),
    )
    const head: RoomHead = { room, extremities, state, pending: new Map(), failed: false }
    this.#heads.set(room.roomNid, head)
    return head
  }

  /** Takes the head of a room that has just been created. */
  set(head: RoomHead): void {
    this.#heads.set(head.room.roomNid, head)
  }

  /** Nothing more may be built on this head: the next writer reads the room anew. */
  fail(head: RoomHead): void {
    head.failed = true
    if (this.#heads.get(head.room.roomNid) === head) this.#heads.delete(head.room.roomNid)
  }
}
