import type { Database, Tx } from '../../storage/database.js'
import type { PartialStateRoom, PartialStateStore } from '../../storage/stores/partial-state.js'
import { createDeferred, type Deferred } from '../../util/deferred.js'

/**
 * The rooms whose state lacks members, since this server has come in without them. What needs the whole state waits here.
 * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
export class PartialRooms {
  readonly #db: Database
  readonly #store: PartialStateStore
  readonly #rooms = new Map<number, { readonly room: PartialStateRoom; readonly whole: Deferred<void> }>()

  constructor(db: Database, store: PartialStateStore) {
    this.#db = db
    this.#store = store
  }

  /** Learns what the last stop has left. To be called before anything else. */
  async load(): Promise<void> {
    for (const room of await this.#store.listAll(this.#db.reader)) this.#add(room)
  }

  isPartial(roomNid: number): boolean {
    return this.#rooms.has(roomNid)
  }

  get(roomNid: number): PartialStateRoom | undefined {
    return this.#rooms.get(roomNid)?.room
  }

  list(): PartialStateRoom[] {
    return [...this.#rooms.values()].map(({ room }) => room)
  }

  /** Resolves when the state of the room is whole, at once where it is. Rejects with the signal's reason. */
  async whenWhole(roomNid: number, signal?: AbortSignal): Promise<void> {
    const waiting = this.#rooms.get(roomNid)
    if (!waiting) return
    if (signal === undefined) return waiting.whole.promise
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => reject(signal.reason as Error)
      signal.addEventListener('abort', abort, { once: true })
      void waiting.whole.promise.then(() => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
    })
  }

  /** Notes a room with the event by which this server comes in. */
  async insert(tx: Tx, room: PartialStateRoom, joinedTs: number): Promise<void> {
    await this.#store.insert(tx, room, joinedTs)
    tx.afterCommit(() => {
      this.#add(room)
    })
  }

  /** Forgets a room with what makes its state whole; those who wait go on after the commit. */
  async delete(tx: Tx, roomNid: number): Promise<void> {
    await this.#store.delete(tx, roomNid)
    tx.afterCommit(() => {
      const waiting = this.#rooms.get(roomNid)
      this.#rooms.delete(roomNid)
      waiting?.whole.resolve()
    })
  }

  #add(room: PartialStateRoom): void {
    const known = this.#rooms.get(room.roomNid)
    this.#rooms.set(room.roomNid, { room, whole: known?.whole ?? createDeferred() })
  }
}
