import type { BulkCache, CacheRegistry } from '../cache-registry.js'
import type { Query, Tx } from '../database.js'
import { decodeChanges, pickChanges, StateSnapshot } from '../state-snapshot.js'

/** A snapshot to be written: its changes against another, or all of it where `baseNid` is undefined. */
export interface SnapshotRow {
  readonly snapshotNid: number
  readonly roomNid: number
  readonly hash: string
  readonly baseNid: number | undefined
  /** How many snapshots must be read before this one: 0 for a whole one. */
  readonly hops: number
  readonly entries: number
  readonly delta: Buffer
}

interface ChainRow {
  snapshot_nid: number
  base_nid: number | null
  hops: number
  hash: string
  delta: Buffer
}

/** Some pieces of some states: by snapshot, the key nids that are asked for. */
export type EntryRequest = ReadonlyMap<number, readonly number[]>

/** What was found of a request: by snapshot, the event that holds a key that was asked for. */
export type SnapshotEntries = ReadonlyMap<number, { get(keyNid: number): number | undefined }>

/** A longer chain of deltas is cut by writing a snapshot whole. */
export const MAX_SNAPSHOT_HOPS = 100

/**
 * State snapshots: immutable, named by content within their room, each a delta on another. Read through a cache of
 * whole snapshots, bounded by the memory they take.
 */
export class StateSnapshotsStore {
  readonly #snapshots: BulkCache<number, StateSnapshot>
  readonly #hops: BulkCache<number, number>
  /** Single entries of snapshots that are not in memory; 0 where nothing holds the key. */
  readonly #entries: BulkCache<string, number>

  constructor(caches: CacheRegistry) {
    this.#snapshots = caches.create({
      name: 'state_snapshots',
      maxSize: 48 * 1024 * 1024,
      sizeOf: (snapshot) => 200 + snapshot.size * 12,
    })
    this.#hops = caches.create({ name: 'state_snapshot_hops', max: 50_000 })
    this.#entries = caches.create({ name: 'state_snapshot_entries', max: 50_000 })
  }

  async get(q: Query, snapshotNid: number): Promise<StateSnapshot> {
    const cached = this.#snapshots.peek(snapshotNid)
    if (cached) return cached
    const snapshot = (await this.getMany(q, [snapshotNid])).get(snapshotNid)
    if (!snapshot) throw new Error(`State snapshot ${snapshotNid} is missing`)
    return snapshot
  }

  getMany(q: Query, nids: readonly number[]): Promise<Map<number, StateSnapshot>> {
    return this.#snapshots.getMany(nids, (missing) => this.#load(q, missing))
  }

  /**
   * A few pieces of many states, with one statement and without building the states: the size of the room does not
   * matter.
   */
  async lookUp(q: Query, request: EntryRequest): Promise<SnapshotEntries> {
    const found = new Map<number, StateSnapshot | Map<number, number>>()
    const picked = new Map<number, Map<number, number>>()
    const wanted: string[] = []
    for (const [snapshotNid, keyNids] of request) {
      const snapshot = this.#snapshots.peek(snapshotNid)
      if (snapshot) {
        found.set(snapshotNid, snapshot)
        continue
      }
      const entries = new Map<number, number>()
      found.set(snapshotNid, entries)
      picked.set(snapshotNid, entries)
      for (const keyNid of keyNids) wanted.push(entryKey(snapshotNid, keyNid))
    }
    if (wanted.length === 0) return found
    const loaded = await this.#entries.getMany(wanted, (missing) => this.#loadEntries(q, missing))
    for (const [key, eventNid] of loaded) {
      const [snapshotNid, keyNid] = splitEntryKey(key)
      if (eventNid !== 0) picked.get(snapshotNid)!.set(keyNid, eventNid)
    }
    return found
  }

  /** The snapshot of this content in the room, if it was ever written. */
  async findByHash(q: Query, roomNid: number, hash: string): Promise<number | undefined> {
    const row = await q.first<{ snapshot_nid: number }>(
      'SELECT snapshot_nid FROM state_snapshots WHERE room_nid = ? AND hash = ?',
      [roomNid, hash],
    )
    return row?.snapshot_nid
  }

  /** How many deltas lie below a snapshot. */
  async hops(q: Query, snapshotNid: number): Promise<number> {
    const found = await this.#hops.getMany([snapshotNid], async () => {
      const row = await q.first<{ hops: number }>('SELECT hops FROM state_snapshots WHERE snapshot_nid = ?', [
        snapshotNid,
      ])
      return new Map(row ? [[snapshotNid, row.hops]] : [])
    })
    return found.get(snapshotNid) ?? MAX_SNAPSHOT_HOPS
  }

  /** Makes a snapshot known before its row is committed, to the writer that is about to build on it. */
  remember(row: SnapshotRow, snapshot: StateSnapshot): void {
    this.#snapshots.set(row.snapshotNid, snapshot)
    this.#hops.set(row.snapshotNid, row.hops)
  }

  /** Forgets a snapshot whose row was not committed after all. */
  forget(snapshotNid: number): void {
    this.#snapshots.delete(snapshotNid)
    this.#hops.delete(snapshotNid)
  }

  /** Those that are there already stay as they are. */
  async insert(tx: Tx, rows: readonly SnapshotRow[]): Promise<void> {
    await tx.insertMany(
      'state_snapshots',
      rows.map((row) => ({
        snapshot_nid: row.snapshotNid,
        room_nid: row.roomNid,
        hash: row.hash,
        base_nid: row.baseNid ?? null,
        hops: row.hops,
        entries: row.entries,
        delta: row.delta,
      })),
      {
        columns: {
          snapshot_nid: 'integer',
          room_nid: 'integer',
          hash: 'text',
          base_nid: 'integer',
          hops: 'integer',
          entries: 'integer',
          delta: 'blob',
        },
        conflict: 'ignore',
      },
    )
  }

  async #loadEntries(q: Query, wanted: readonly string[]): Promise<Map<string, number>> {
    const pairs = wanted.map(splitEntryKey)
    const keys = new Set(pairs.map(([, keyNid]) => keyNid))
    const rows = await readChains(q, [...new Set(pairs.map(([snapshotNid]) => snapshotNid))])
    const picked = pickFromChains(rows, keys)
    return new Map(
      pairs.flatMap(([snapshotNid, keyNid], index) => {
        const entries = picked.get(snapshotNid)
        return entries ? [[wanted[index]!, entries.get(keyNid) ?? 0] as const] : []
      }),
    )
  }

  /** Applies the chains below the snapshots from the bottom up. */
  async #load(q: Query, nids: readonly number[]): Promise<Map<number, StateSnapshot>> {
    const rows = await readChains(q, nids)
    const byNid = new Map(rows.map((row) => [row.snapshot_nid, row]))
    const wanted = new Map<number, StateSnapshot>()
    for (const nid of nids) {
      const links: ChainRow[] = []
      let row = byNid.get(nid)
      const hash = row?.hash
      while (row) {
        links.push(row)
        row = row.base_nid === null ? undefined : byNid.get(row.base_nid)
      }
      const bottom = links.at(-1)
      if (hash === undefined || bottom?.base_nid !== null) continue
      // Later deltas win: one merged change set is applied once, whatever the length of the chain.
      const merged = new Map<number, number>()
      for (const link of links.reverse()) {
        for (const [key, event] of decodeChanges(link.delta)) {
          if (event === undefined) merged.delete(key)
          else merged.set(key, event)
        }
      }
      wanted.set(nid, StateSnapshot.restore(merged, hash))
    }
    return wanted
  }
}

/** The rows of the chains below the snapshots, in one statement. */
function readChains(q: Query, nids: readonly number[]): Promise<ChainRow[]> {
  return q.all<ChainRow>(
    `WITH RECURSIVE chain (snapshot_nid, base_nid, hops, hash, delta) AS (
       SELECT snapshot_nid, base_nid, hops, hash, delta FROM state_snapshots
       WHERE ${q.dialect.anyOf('snapshot_nid', 'integer')}
       UNION
       SELECT s.snapshot_nid, s.base_nid, s.hops, s.hash, s.delta
       FROM state_snapshots s JOIN chain ON s.snapshot_nid = chain.base_nid
     )
     SELECT snapshot_nid, base_nid, hops, hash, delta FROM chain`,
    [q.dialect.list(nids)],
  )
}

/** The entries of some keys in every snapshot of the chains whose rows are all there; each row is read once. */
function pickFromChains(
  rows: readonly ChainRow[],
  keys: ReadonlySet<number>,
): Map<number, ReadonlyMap<number, number>> {
  let last = 0
  for (const keyNid of keys) last = Math.max(last, keyNid)
  const picked = new Map<number, ReadonlyMap<number, number>>()
  // A snapshot has more hops than the one it builds on.
  for (const row of [...rows].sort((a, b) => a.hops - b.hops)) {
    const base = row.base_nid === null ? NOTHING : picked.get(row.base_nid)
    if (!base) continue
    const changes = pickChanges(row.delta, keys, last)
    if (changes.size === 0) {
      picked.set(row.snapshot_nid, base)
      continue
    }
    const entries = new Map(base)
    for (const [keyNid, eventNid] of changes) setEntry(entries, keyNid, eventNid)
    picked.set(row.snapshot_nid, entries)
  }
  return picked
}

const NOTHING: ReadonlyMap<number, number> = new Map<number, number>()

function setEntry(entries: Map<number, number>, keyNid: number, eventNid: number | undefined): void {
  if (eventNid === undefined) entries.delete(keyNid)
  else entries.set(keyNid, eventNid)
}

function entryKey(snapshotNid: number, keyNid: number): string {
  return `${snapshotNid}:${keyNid}`
}

function splitEntryKey(key: string): [snapshotNid: number, keyNid: number] {
  const separator = key.indexOf(':')
  return [Number(key.slice(0, separator)), Number(key.slice(separator + 1))]
}
