import type { Database } from '../../storage/database.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import type { StateKeysStore } from '../../storage/stores/state-keys.js'
import type { StateKey } from '../../protocol/state-map.js'

/**
 * Gives (type, state key) pairs their integers. New ones are committed before they are used, in one transaction for
 * all who wait at the same time; a nid that was handed out is never another key's.
 */
export class StateKeyInterner {
  readonly #db: Database
  readonly #store: StateKeysStore
  readonly #ids: IdAllocator
  #waiting = new Set<StateKey>()
  /** The transaction that those who come now will share. */
  #next: Promise<void> | undefined
  /** Settles when no transaction is running; never rejects. */
  #idle: Promise<void> = Promise.resolve()

  constructor(db: Database, store: StateKeysStore, ids: IdAllocator) {
    this.#db = db
    this.#store = store
    this.#ids = ids
  }

  /** Whether all the keys have nids that this process has in memory. */
  knows(keys: readonly StateKey[]): boolean {
    return keys.every((key) => this.#store.peek(key) !== undefined)
  }

  /** The nids of all the keys. */
  async intern(keys: readonly StateKey[]): Promise<Map<StateKey, number>> {
    let found = await this.#store.find(this.#db.reader, keys)
    const missing = keys.filter((key) => !found.has(key))
    if (missing.length === 0) return found
    for (const key of missing) this.#waiting.add(key)
    await this.#flush()
    found = await this.#store.find(this.#db.reader, keys)
    return found
  }

  #flush(): Promise<void> {
    if (this.#next === undefined) {
      this.#next = this.#idle.then(() => this.#insertWaiting())
      this.#idle = this.#next.catch(() => undefined)
    }
    return this.#next
  }

  async #insertWaiting(): Promise<void> {
    const keys = [...this.#waiting]
    this.#waiting = new Set()
    this.#next = undefined
    const rows: { nid: number; key: StateKey }[] = []
    for (const key of keys) rows.push({ nid: await this.#ids.next(), key })
    await this.#db.write('intern_state_keys', (tx) => this.#store.insertMissing(tx, rows))
  }
}
