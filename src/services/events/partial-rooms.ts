import type { Database, Tx } from '../../storage/database.js'
import type { PartialStateRoom, PartialStateStore } from '../../storage/stores/partial-state.js'
import { MatrixError } from '../../protocol/errors.js'
import type { Clock } from '../../util/clock.js'
import { createDeferred, type Deferred } from '../../util/deferred.js'

/** A request does not wait longer than this for a room's members. */
const MAX_WAIT_MS = 120_000

/**
 * The rooms whose state lacks members, since this server has come in without them. What needs the whole state waits here.
 * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
export class PartialRooms {
  readonly #db: Database
  readonly #store: PartialStateStore
  readonly #clock: Clock
  readonly #rooms = new Map<number, { readonly room: PartialStateRoom; readonly whole: Deferred<void> }>()
  /** In the order of their positions. */
  #completed: { readonly roomNid: number; readonly position: number }[] = []

  constructor(db: Database, store: PartialStateStore, clock: Clock) {
    this.#db = db
    this.#store = store
    this.#clock = clock
  }

  /** Learns what the last stop has left. To be called before anything else. */
  async load(): Promise<void> {
    for (const room of await this.#store.listAll(this.#db.reader)) this.#add(room)
    const completed = await this.#store.listCompleted(this.#db.reader)
    this.#completed = [...completed].map(([roomNid, position]) => ({ roomNid, position }))
    this.#completed.sort((a, b) => a.position - b.position)
  }

  isPartial(roomNid: number): boolean {
    return this.#rooms.has(roomNid)
  }

  /** Whether there is any. */
  isAnyPartial(): boolean {
    return this.#rooms.size > 0
  }

  get(roomNid: number): PartialStateRoom | undefined {
    return this.#rooms.get(roomNid)?.room
  }

  list(): PartialStateRoom[] {
    return [...this.#rooms.values()].map(({ room }) => room)
  }

  /** The rooms whose state became whole after one position of the events stream, up to and including another. */
  completedBetween(after: number, upTo: number): number[] {
    const rooms: number[] = []
    for (let index = this.#completed.length - 1; index >= 0; index--) {
      const { roomNid, position } = this.#completed[index]!
      if (position <= after) break
      if (position <= upTo) rooms.push(roomNid)
    }
    return rooms
  }

  /** Resolves when the state of the room is whole, at once where it is. Rejects with 504 when that takes too long. */
  async whenWhole(roomNid: number): Promise<void> {
    if (await this.isSoonWhole(roomNid, MAX_WAIT_MS)) return
    throw new MatrixError('M_CONNECTION_TIMEOUT', 'The members of the room are not known yet')
  }

  /** Whether the state of the room is whole within some time. */
  async isSoonWhole(roomNid: number, maxWaitMs: number): Promise<boolean> {
    const waiting = this.#rooms.get(roomNid)
    if (!waiting) return true
    const over = new AbortController()
    const late = this.#clock.sleep(maxWaitMs, over.signal).then(
      () => false,
      () => true,
    )
    try {
      return await Promise.race([waiting.whole.promise.then(() => true), late])
    } finally {
      over.abort()
    }
  }

  /** Notes a room with the event by which this server comes in. */
  async insert(tx: Tx, room: PartialStateRoom, joinedTs: number): Promise<void> {
    await this.#store.insert(tx, room, joinedTs)
    tx.afterCommit(() => {
      this.#add(room)
    })
  }

  /**
   * Forgets a room, with what makes its state whole at a position, or when it is given up; those who wait go on after
   * the commit.
   */
  async delete(tx: Tx, roomNid: number, completedAt?: number): Promise<void> {
    await this.#store.delete(tx, roomNid)
    if (completedAt !== undefined) await this.#store.setCompleted(tx, roomNid, completedAt)
    tx.afterCommit(() => {
      const waiting = this.#rooms.get(roomNid)
      this.#rooms.delete(roomNid)
      if (completedAt !== undefined) this.#completed.push({ roomNid, position: completedAt })
      waiting?.whole.resolve()
    })
  }

  #add(room: PartialStateRoom): void {
    const known = this.#rooms.get(room.roomNid)
    this.#rooms.set(room.roomNid, { room, whole: known?.whole ?? createDeferred() })
  }
}
