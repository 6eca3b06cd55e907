import type { Database, Query } from '../../../storage/database.js'
import type { SlidingSyncRoomsStore } from '../../../storage/stores/sliding-sync-rooms.js'
import type { EventTail } from '../../events/event-tail.js'

interface Parts {
  readonly db: Database
  readonly store: Pick<SlidingSyncRoomsStore, 'lastPositions' | 'listWithState'>
  readonly tail: Pick<EventTail, 'between'>
}

export interface RoomActivityOptions {
  /** Rooms that are remembered. */
  readonly max: number
}

const ENCRYPTION = 'm.room.encryption'

/**
 * When something last happened in each room, be it that its state has changed without an event (its members have become
 * known), and whether it is encrypted: in memory for all users together, moved on by
 * the end of the events stream. With it, lists of any length are sorted and filtered without a query.
 */
export class RoomActivity {
  readonly #parts: Parts
  readonly #options: RoomActivityOptions
  readonly #last = new Map<number, number>()
  readonly #encrypted = new Map<number, boolean>()
  /** What is remembered is right as of here, at least. */
  #upTo = 0
  #following: Promise<void> | undefined
  readonly #loads = new Set<Meanwhile>()

  constructor(parts: Parts, options: RoomActivityOptions = { max: 200_000 }) {
    this.#parts = parts
    this.#options = options
  }

  /** The positions of the rooms' last changes as of a position that can be read, or a little later. 0: there is none. */
  async lastPositions(roomNids: readonly number[], position: number): Promise<ReadonlyMap<number, number>> {
    await this.#follow(position)
    const positions = known(this.#last, roomNids)
    const missing = roomNids.filter((roomNid) => !positions.has(roomNid))
    if (missing.length === 0) return positions
    const { found, meanwhile } = await this.#load((q) => this.#parts.store.lastPositions(q, missing))
    for (const roomNid of missing) {
      const last = Math.max(found.get(roomNid) ?? 0, meanwhile.last.get(roomNid) ?? 0)
      positions.set(roomNid, last)
      if (!meanwhile.isLost) this.#remember(this.#last, roomNid, last)
    }
    return positions
  }

  /** Which of the rooms are encrypted. */
  async listEncrypted(roomNids: readonly number[], position: number): Promise<ReadonlySet<number>> {
    await this.#follow(position)
    const facts = known(this.#encrypted, roomNids)
    const missing = roomNids.filter((roomNid) => !facts.has(roomNid))
    if (missing.length > 0) {
      const { found, meanwhile } = await this.#load((q) =>
        this.#parts.store.listWithState(q, missing, ENCRYPTION),
      )
      for (const roomNid of missing) {
        facts.set(roomNid, found.has(roomNid))
        if (!meanwhile.isLost && !meanwhile.encryption.has(roomNid))
          this.#remember(this.#encrypted, roomNid, found.has(roomNid))
      }
    }
    return new Set(roomNids.filter((roomNid) => facts.get(roomNid)))
  }

  /** Reads, and tells what was followed while it did: the read may have missed that. */
  async #load<T>(read: (q: Query) => Promise<T>): Promise<{ found: T; meanwhile: Meanwhile }> {
    const meanwhile: Meanwhile = { last: new Map(), encryption: new Set(), isLost: false }
    this.#loads.add(meanwhile)
    try {
      return { found: await read(this.#parts.db.reader), meanwhile }
    } finally {
      this.#loads.delete(meanwhile)
    }
  }

  async #follow(position: number): Promise<void> {
    while (position > this.#upTo) {
      this.#following ??= this.#advance(position).finally(() => (this.#following = undefined))
      await this.#following
    }
  }

  async #advance(position: number): Promise<void> {
    const slice = await this.#parts.tail.between(this.#upTo, position)
    if (slice === undefined) {
      // Too long ago to be told: everything is looked up anew.
      this.#last.clear()
      this.#encrypted.clear()
      for (const load of this.#loads) load.isLost = true
    } else {
      for (const { roomNid, streamOrdering } of slice.events) this.#onChange(roomNid, streamOrdering)
      for (const { roomNid, streamOrdering, type, stateKey } of slice.deltas) {
        this.#onChange(roomNid, streamOrdering)
        if (type === ENCRYPTION && stateKey === '') this.#onEncryption(roomNid)
      }
    }
    this.#upTo = position
  }

  #onChange(roomNid: number, position: number): void {
    const known = this.#last.get(roomNid)
    if (known !== undefined && known < position) this.#last.set(roomNid, position)
    for (const { last } of this.#loads) last.set(roomNid, Math.max(last.get(roomNid) ?? 0, position))
  }

  #onEncryption(roomNid: number): void {
    this.#encrypted.delete(roomNid)
    for (const { encryption } of this.#loads) encryption.add(roomNid)
  }

  #remember<T>(map: Map<number, T>, roomNid: number, value: T): void {
    if (map.size >= this.#options.max) map.clear()
    map.set(roomNid, value)
  }
}

/** What happened while something was read. */
interface Meanwhile {
  readonly last: Map<number, number>
  readonly encryption: Set<number>
  /** More than could be told. */
  isLost: boolean
}

function known<T>(map: ReadonlyMap<number, T>, roomNids: readonly number[]): Map<number, T> {
  const found = new Map<number, T>()
  for (const roomNid of roomNids) {
    const value = map.get(roomNid)
    if (value !== undefined) found.set(roomNid, value)
  }
  return found
}
