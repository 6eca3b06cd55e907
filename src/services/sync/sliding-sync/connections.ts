import { MatrixError } from '../../../protocol/errors.js'
import type { DeviceId, UserId } from '../../../protocol/ids.js'
import type { SlidingPos } from '../../../protocol/sliding-pos.js'
import type { BulkCache, CacheRegistry } from '../../../storage/cache-registry.js'
import type { Database, Tx } from '../../../storage/database.js'
import type { ConnectionKey, SlidingSyncStore } from '../../../storage/stores/sliding-sync.js'
import type { Clock } from '../../../util/clock.js'
import { isJsonObject } from '../../../util/json.js'
import { KeyedMutex } from '../../../util/keyed-mutex.js'
import type { DeviceCleanup } from '../../devices/devices.js'
import { Connection, type ConnectionChanges, type RoomMemory } from './connection.js'
import { RequiredState } from './required-state.js'

interface Parts {
  readonly db: Database
  readonly clock: Clock
  readonly store: SlidingSyncStore
  readonly caches: CacheRegistry
  /** A number from 0 (included) to 1 (excluded). */
  readonly random: () => number
}

/** A request's hold on its connection, until the next request takes over. */
export interface ConnectionSession {
  readonly connection: Connection
  /** Aborted when another request of the same connection has come: the client waits for that one. */
  readonly superseded: AbortSignal
}

const HOUR_MS = 3_600_000
/** Connections that nobody has used for this long are forgotten. */
const EXPIRY_MS = 7 * 24 * HOUR_MS
const MAX_PER_DEVICE = 20
const MAX_LAZY_MEMBERS = 10_000
const MAX_NID = 10 ** 14
/** Beyond this many, those that no room has any more are looked for. */
const MAX_CONFIGS = 50
const EXPIRE_BATCH = 100
const CACHE_BYTES = 64 * 1024 * 1024

/**
 * Keeps what each connection was told: in memory while it is used, in the database for when the server starts again.
 * What an answer adds counts once the client has come back from it.
 */
export class Connections implements DeviceCleanup {
  readonly #parts: Parts
  readonly #cache: BulkCache<number, Connection>
  readonly #mutex = new KeyedMutex()
  readonly #sessions = new Map<number, AbortController>()
  readonly #configs = new WeakMap<Connection, StoredConfigs>()

  constructor(parts: Parts) {
    this.#parts = parts
    this.#cache = parts.caches.create({
      name: 'sliding_sync_connections',
      maxSize: CACHE_BYTES,
      sizeOf: ({ size }) => size,
    })
  }

  /**
   * The connection as it was after the answer that gave `pos`; a new one without. Throws `M_UNKNOWN_POS` where there is
   * none (any more), or it is somebody else's.
   */
  async open(key: ConnectionKey, pos: SlidingPos | undefined): Promise<ConnectionSession> {
    if (pos === undefined) return this.#hold(await this.#begin(key))
    const { connectionNid } = pos
    return this.#mutex.run(String(connectionNid), async () => {
      const connection = this.#cache.peek(connectionNid) ?? (await this.#load(pos))
      if (connection === undefined || !isSameKey(connection.key, key)) throw unknownPos()
      const resumed = connection.resume(pos.version)
      if (resumed === undefined || this.#isExpired(connection)) throw unknownPos()
      if (resumed === 'lost') await this.#settle(connection)
      await this.#touch(connection)
      return this.#hold(connection)
    })
  }

  /** To be called when the request is over, whichever way. */
  release({ connection, superseded }: ConnectionSession): void {
    const current = this.#sessions.get(connection.nid)
    if (current?.signal === superseded) this.#sessions.delete(connection.nid)
  }

  /**
   * Keeps what an answer changes; gives the version for its `pos`. Undefined: another request has taken over, and the
   * answer must not be given.
   */
  async commit(
    { connection, superseded }: ConnectionSession,
    changes: ConnectionChanges,
  ): Promise<number | undefined> {
    return this.#mutex.run(String(connection.nid), async () => {
      if (superseded.aborted) return undefined
      if (changes.isEmpty) return connection.version
      const version = connection.nextVersion()
      if (changes.rooms.size > 0) await this.#store(connection, version, changes.rooms)
      connection.await(version, changes)
      // Set anew: it may have grown.
      this.#cache.set(connection.nid, connection)
      return version
    })
  }

  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    const nids = await this.#parts.store.listOfDevices(tx, userId, deviceIds)
    await this.#parts.store.delete(tx, nids)
    for (const nid of nids) this.#cache.invalidate(tx, nid)
  }

  /** Forgets the connections that nobody has used for long. */
  async expire(): Promise<void> {
    const { clock, db, store } = this.#parts
    const before = clock.now() - EXPIRY_MS
    for (;;) {
      const nids = await store.listUnused(db.reader, before, EXPIRE_BATCH)
      if (nids.length === 0) return
      await db.write('expire_sliding_sync_connections', async (tx) => {
        await store.delete(tx, nids)
        for (const nid of nids) this.#cache.invalidate(tx, nid)
      })
    }
  }

  async #begin(key: ConnectionKey): Promise<Connection> {
    const { clock, db, store, random } = this.#parts
    const nid = 1 + Math.floor(random() * MAX_NID)
    const lastUsedTs = clock.now()
    await db.write('begin_sliding_sync_connection', async (tx) => {
      const earlier = await store.insert(tx, { ...key, connectionNid: nid, floor: 0, lastUsedTs })
      const surplus = await store.listSurplus(tx, key, MAX_PER_DEVICE)
      await store.delete(tx, surplus)
      for (const gone of [...surplus, ...(earlier === undefined ? [] : [earlier])]) {
        this.#cache.invalidate(tx, gone)
        tx.afterCommit(() => this.#sessions.get(gone)?.abort(REPLACED))
      }
    })
    const connection = new Connection({ nid, key, lastUsedTs }, { version: 0, lastVersion: 0 }, LIMITS)
    this.#cache.set(nid, connection)
    return connection
  }

  #hold(connection: Connection): ConnectionSession {
    const session = new AbortController()
    this.#sessions.get(connection.nid)?.abort()
    this.#sessions.set(connection.nid, session)
    return { connection, superseded: session.signal }
  }

  async #load({ connectionNid, version }: SlidingPos): Promise<Connection | undefined> {
    const { db, store } = this.#parts
    const found = await db.read('sliding_sync_connection', async (q) => {
      const record = await store.get(q, connectionNid)
      if (record === undefined || version < record.floor) return undefined
      const rows = await store.listRooms(q, connectionNid)
      return { record, rows, configs: await store.listConfigs(q, connectionNid) }
    })
    if (found === undefined) return undefined
    const { record, rows } = found
    const { userId, deviceId, connId, lastUsedTs } = record
    const lastStored = rows.reduce((last, row) => Math.max(last, row.version), 0)
    const connection = new Connection(
      { nid: connectionNid, key: { userId, deviceId, connId }, lastUsedTs },
      { version, lastVersion: Math.max(version, lastStored) },
      LIMITS,
    )
    connection.restore(rows, parseConfigs(found.configs))
    this.#configs.set(connection, new StoredConfigs(found.configs))
    if (lastStored > version) await this.#settle(connection)
    this.#cache.set(connectionNid, connection)
    return connection
  }

  #isExpired({ lastUsedTs }: Connection): boolean {
    return lastUsedTs < this.#parts.clock.now() - EXPIRY_MS
  }

  async #touch(connection: Connection): Promise<void> {
    const { clock, db, store } = this.#parts
    const now = clock.now()
    if (connection.lastUsedTs > now - HOUR_MS) return
    await db.write('touch_sliding_sync_connection', (tx) => store.touch(tx, connection.nid, now))
    connection.lastUsedTs = now
  }

  async #settle({ nid, version }: Connection): Promise<void> {
    const { db, store } = this.#parts
    await db.write('settle_sliding_sync_connection', (tx) => store.settle(tx, nid, version))
  }

  async #store(
    connection: Connection,
    version: number,
    rooms: ReadonlyMap<number, RoomMemory>,
  ): Promise<void> {
    const { db, store } = this.#parts
    const { nid } = connection
    const configs = this.#configs.get(connection) ?? new StoredConfigs(new Map())
    const ids = configs.idsOf([...rooms.values()].map(({ requiredState }) => requiredState.toJson()))
    const rows = [...rooms].map(([roomNid, { requiredState, ...room }]) => {
      return { ...room, roomNid, version, configId: ids.all.get(requiredState.toJson()) ?? 0 }
    })
    const kept = await db.write('store_sliding_sync_connection', async (tx) => {
      await store.settle(tx, nid, connection.version)
      await store.putConfigs(tx, nid, ids.added)
      await store.putRooms(tx, nid, rows)
      if (configs.size + ids.added.size <= MAX_CONFIGS) return undefined
      await store.deleteUnusedConfigs(tx, nid)
      return store.listConfigs(tx, nid)
    })
    if (kept === undefined) configs.add(ids.added)
    this.#configs.set(connection, kept === undefined ? configs : new StoredConfigs(kept))
  }
}

/** The required state that is stored for a connection. */
class StoredConfigs {
  readonly #ids: Map<string, number>
  #next: number

  constructor(configs: ReadonlyMap<number, string>) {
    this.#ids = new Map([...configs].map(([id, json]) => [json, id]))
    this.#next = Math.max(-1, ...configs.keys()) + 1
  }

  get size(): number {
    return this.#ids.size
  }

  /** The IDs of some texts, and the texts among them that are yet to be stored. */
  idsOf(texts: readonly string[]): { all: ReadonlyMap<string, number>; added: Map<number, string> } {
    const all = new Map<string, number>()
    const added = new Map<number, string>()
    for (const json of texts) {
      if (all.has(json)) continue
      const known = this.#ids.get(json)
      const id = known ?? this.#next + added.size
      all.set(json, id)
      if (known === undefined) added.set(id, json)
    }
    return { all, added }
  }

  /** These are stored now. */
  add(configs: ReadonlyMap<number, string>): void {
    for (const [id, json] of configs) {
      this.#ids.set(json, id)
      this.#next = Math.max(this.#next, id + 1)
    }
  }
}

/** Why a session is over where its connection has begun anew. */
export const REPLACED = 'replaced'

/** Whether a connection of the same name has begun anew since: there is nothing to come back to. */
export function isReplaced({ superseded }: ConnectionSession): boolean {
  return superseded.reason === REPLACED
}

const LIMITS = { maxMembers: MAX_LAZY_MEMBERS }

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md#connections */
export function unknownPos(): MatrixError {
  return new MatrixError('M_UNKNOWN_POS', 'The connection is not known (any more)')
}

function isSameKey(a: ConnectionKey, b: ConnectionKey): boolean {
  return a.userId === b.userId && a.deviceId === b.deviceId && a.connId === b.connId
}

function parseConfigs(configs: ReadonlyMap<number, string>): Map<number, RequiredState> {
  return new Map(
    [...configs].map(([id, text]) => {
      const json: unknown = JSON.parse(text)
      return [id, RequiredState.fromJson(isJsonObject(json) ? json : null)]
    }),
  )
}
