import type { BulkCache, CacheRegistry } from '../cache-registry.js'
import type { Query, Tx } from '../database.js'
import { splitStateKey, stateKeyOf, type StateKey } from '../../protocol/state-map.js'

interface KeyRow {
  key_nid: number
  type: string
  state_key: string
}

/** The integers that stand for (type, state key) pairs in snapshots. Rows are never changed or deleted. */
export class StateKeysStore {
  readonly #nids: BulkCache<StateKey, number>
  readonly #names: BulkCache<number, StateKey>

  constructor(caches: CacheRegistry) {
    this.#nids = caches.create({ name: 'state_key_nids', max: 100_000 })
    this.#names = caches.create({ name: 'state_key_names', max: 100_000 })
  }

  /** The nids of those keys that exist. */
  find(q: Query, keys: readonly StateKey[]): Promise<Map<StateKey, number>> {
    return this.#nids.getMany(keys, async (missing) => {
      const pairs = missing.map((key) => {
        const [type, stateKey] = splitStateKey(key)
        return { type, state_key: stateKey }
      })
      const rows = await q.all<KeyRow>(
        `SELECT k.key_nid, k.type, k.state_key
         FROM ${q.dialect.rowsFrom({ type: 'text', state_key: 'text' })} AS r
         JOIN state_keys k ON k.type = r.type AND k.state_key = r.state_key`,
        [q.dialect.rows(pairs)],
      )
      const found = new Map(rows.map((row) => [stateKeyOf(row.type, row.state_key), row.key_nid]))
      // Whoever asks for a key's nid will soon ask for the name of that.
      for (const [key, nid] of found) this.#names.set(nid, key)
      return found
    })
  }

  /** The nid of a key if this process has met it: no query. */
  peek(key: StateKey): number | undefined {
    return this.#nids.peek(key)
  }

  /** What nids stand for. */
  names(q: Query, nids: readonly number[]): Promise<Map<number, StateKey>> {
    return this.#names.getMany(nids, async (missing) => {
      const rows = await q.all<KeyRow>(
        `SELECT key_nid, type, state_key FROM state_keys WHERE ${q.dialect.anyOf('key_nid', 'integer')}`,
        [q.dialect.list(missing)],
      )
      return new Map(rows.map((row) => [row.key_nid, stateKeyOf(row.type, row.state_key)]))
    })
  }

  /** Rows for keys that have none; a key that another process has added in the meantime keeps its nid. */
  async insertMissing(tx: Tx, keys: readonly { nid: number; key: StateKey }[]): Promise<void> {
    const rows = keys.map(({ nid, key }) => {
      const [type, stateKey] = splitStateKey(key)
      return { key_nid: nid, type, state_key: stateKey }
    })
    await tx.insertMany('state_keys', rows, {
      columns: { key_nid: 'integer', type: 'text', state_key: 'text' },
      conflict: 'ignore',
    })
  }
}
