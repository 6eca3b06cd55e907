import { LRUCache } from 'lru-cache'
import { parseVerifyKey } from '../../protocol/ed25519.js'
import type { ServerName } from '../../protocol/ids.js'
import { isKeyValidAt, serverKeysText, type ServerKeyDocument } from '../../protocol/server-keys.js'
import type { Database, Tx } from '../../storage/database.js'
import type { ServerKey, ServerKeysStore } from '../../storage/stores/server-keys.js'
import type { Clock } from '../../util/clock.js'
import { LeakyBuckets } from '../../util/leaky-bucket.js'
import { upTo } from '../../util/lru-bounds.js'
import { SingleFlight } from '../../util/single-flight.js'
import { groupBy } from '../../util/group-by.js'
import { FederationError } from './federation-error.js'
import type { KeyFetcher, KeyPurpose, KeyWish } from './key-fetcher.js'
import type { KeySource, TrustedKey } from './keyring.js'
import type { OwnKeys } from './own-keys.js'

type ServerKeys = ReadonlyMap<string, TrustedKey>

export interface KeyCacheDependencies {
  readonly db: Database
  readonly store: ServerKeysStore
  readonly fetcher: Pick<KeyFetcher, 'fromOrigin' | 'fromNotaries' | 'hasNotaries'>
  readonly clock: Pick<Clock, 'now'>
  readonly serverName: ServerName
  readonly ownKeys: Pick<OwnKeys, 'verifyKeys'>
}

const MAX_SERVERS = 10_000
/** How often one server is asked, whoever wants to know: anybody may name a server that has nothing to do with it. */
const QUESTIONS = { perSecond: 0.1, burstCount: 5 }
/** Keys of one server that are kept: they are never forgotten, and whoever runs it may make as many as they like. */
const MAX_KEYS = 200
/** What one document takes in the database at most: it stands there once for each key. */
const MAX_STORED_BYTES = 1024 * 1024
const NONE: ServerKeys = new Map()

/**
 * The keys of all servers: in memory, in the database, and where they are not there or not valid for long enough, from
 * the servers themselves and from those that are trusted to know.
 */
export class KeyCache implements KeySource {
  readonly #deps: KeyCacheDependencies
  readonly #known = new LRUCache<ServerName, ServerKeys>(upTo(MAX_SERVERS))
  readonly #questions: LeakyBuckets
  readonly #flights = new SingleFlight<void>()

  constructor(deps: KeyCacheDependencies) {
    this.#deps = deps
    this.#questions = new LeakyBuckets({ ...QUESTIONS, clock: deps.clock })
  }

  async getKeys(
    wishes: readonly KeyWish[],
    purpose: KeyPurpose = 'event',
  ): Promise<ReadonlyMap<ServerName, ServerKeys>> {
    const merged = mergeWishes(wishes)
    await this.#load(merged.map(({ serverName }) => serverName))
    const open = merged.filter((wish) => wish.unmet(this.#keysOf(wish.serverName), this.#deps.clock.now()))
    if (open.length > 0) await this.#fetch(open, purpose)
    return new Map(merged.map(({ serverName }) => [serverName, this.#keysOf(serverName)]))
  }

  /**
   * Asks servers for their keys now for others who want to know, whatever is known, as far as they may be asked again.
   * Resolves when what came is stored; never rejects for what other servers do.
   */
  async refresh(wishes: readonly KeyWish[]): Promise<void> {
    await this.#load(wishes.map(({ serverName }) => serverName))
    await this.#fetch(wishes, 'notary')
  }

  #keysOf(serverName: ServerName): ServerKeys {
    return serverName === this.#deps.serverName
      ? this.#deps.ownKeys.verifyKeys()
      : (this.#known.get(serverName) ?? NONE)
  }

  async #load(serverNames: readonly ServerName[]): Promise<void> {
    const missing = serverNames.filter((name) => !this.#known.has(name) && name !== this.#deps.serverName)
    if (missing.length === 0) return
    const rows = await this.#deps.store.listKeys(this.#deps.db.reader, missing)
    const byServer = new Map<ServerName, Map<string, TrustedKey>>(missing.map((name) => [name, new Map()]))
    for (const { serverName, keyId, publicKey, validUntilTs } of rows) {
      const key = parseVerifyKey(publicKey)
      if (key !== undefined) byServer.get(serverName)?.set(keyId, { key, validUntilTs })
    }
    // Not over what somebody has learnt meanwhile.
    for (const [name, keys] of byServer) if (!this.#known.has(name)) this.#known.set(name, keys)
  }

  async #fetch(wishes: readonly KeyWish[], purpose: KeyPurpose): Promise<void> {
    const askable = wishes.filter(
      ({ serverName }) =>
        serverName !== this.#deps.serverName &&
        this.#flights.peek(flightOf(serverName, purpose)) === undefined &&
        this.#questions.take(serverName) === 0,
    )
    // A question by another for the same server is waited for.
    const waiting = wishes.flatMap(
      ({ serverName }) => this.#flights.peek(flightOf(serverName, purpose)) ?? [],
    )
    const { hasNotaries } = this.#deps.fetcher
    // Of one server it is quickest to ask itself; for many the notaries spare as many questions.
    if (askable.length > 1 && hasNotaries) await this.#fetchMany(askable, purpose)
    else await Promise.all(askable.map((wish) => this.#fetchOne(wish, purpose)))
    await Promise.all(waiting)
  }

  async #fetchMany(wishes: readonly KeyWish[], purpose: KeyPurpose): Promise<void> {
    const documents = await this.#deps.fetcher.fromNotaries(wishes)
    await this.#learn(documents, 'notary')
    const now = this.#deps.clock.now()
    const open = mergeWishes(wishes).filter((wish) => wish.unmet(this.#keysOf(wish.serverName), now))
    await Promise.all(
      open.map((wish) =>
        this.#flights.run(flightOf(wish.serverName, purpose), () => this.#askOrigin(wish, purpose)),
      ),
    )
  }

  #fetchOne(wish: KeyWish, purpose: KeyPurpose): Promise<void> {
    return this.#flights.run(flightOf(wish.serverName, purpose), async () => {
      await this.#askOrigin(wish, purpose)
      const [merged] = mergeWishes([wish])
      const now = this.#deps.clock.now()
      if (!this.#deps.fetcher.hasNotaries || !merged!.unmet(this.#keysOf(wish.serverName), now)) return
      await this.#learn(await this.#deps.fetcher.fromNotaries([wish]), 'notary')
    })
  }

  async #askOrigin({ serverName }: KeyWish, purpose: KeyPurpose): Promise<void> {
    try {
      await this.#learn([await this.#deps.fetcher.fromOrigin(serverName, purpose)], 'origin')
    } catch (error) {
      if (!(error instanceof FederationError)) throw error
    }
  }

  /** Takes on what documents say, in memory and in the database. */
  async #learn(documents: readonly ServerKeyDocument[], from: 'origin' | 'notary'): Promise<void> {
    if (documents.length === 0) return
    const { db, store, clock } = this.#deps
    const rows = documents.flatMap((document) => this.#newKeys(document, from))
    const keys = this.#withinLimit([...new Map(rows.map((row) => [nameOf(row), row])).values()])
    const kept = new Set(keys.map(nameOf))
    const isKept = (key: Pick<ServerKey, 'serverName' | 'keyId'>): boolean =>
      kept.has(nameOf(key)) || this.#keysOf(key.serverName).has(key.keyId)
    const fetchedTs = clock.now()
    await db.write('store_server_keys', async (tx: Tx) => {
      if (keys.length > 0) await store.putKeys(tx, keys)
      await store.putDocuments(tx, newestDocuments(documents, fetchedTs, isKept))
    })
    for (const { serverName, keyId, publicKey, validUntilTs } of keys) {
      const key = parseVerifyKey(publicKey)
      if (key === undefined) continue
      this.#known.set(serverName, new Map([...this.#keysOf(serverName), [keyId, { key, validUntilTs }]]))
    }
  }

  /** Those that are known already, and as many others as a server may have. */
  #withinLimit(keys: readonly ServerKey[]): ServerKey[] {
    const places = new Map<ServerName, number>()
    return keys.filter(({ serverName, keyId }) => {
      const known = this.#keysOf(serverName)
      if (known.has(keyId)) return true
      const left = places.get(serverName) ?? MAX_KEYS - known.size
      places.set(serverName, left - 1)
      return left > 0
    })
  }

  /** The keys of a document that say more than is known. A notary may know less than the server itself has told. */
  #newKeys(document: ServerKeyDocument, from: 'origin' | 'notary'): ServerKey[] {
    const { serverName } = document
    const known = this.#keysOf(serverName)
    return document.keys.flatMap(({ keyId, key, validUntilTs, isOld }) => {
      const before = known.get(keyId)
      const isOlder = before !== undefined && before.validUntilTs > validUntilTs
      if (from === 'notary' && isOlder && !isOld) return []
      return [{ serverName, keyId, publicKey: key.base64, validUntilTs }]
    })
  }
}

/** Who asks for the same server for another purpose may wait for much longer. */
function flightOf(serverName: ServerName, purpose: KeyPurpose): string {
  return `${purpose} ${serverName}`
}

function nameOf({ serverName, keyId }: Pick<ServerKey, 'serverName' | 'keyId'>): string {
  return `${serverName} ${keyId}`
}

/** Wishes of one server as one. */
interface MergedWish extends KeyWish {
  /** Whether one of the wishes cannot be met with these keys. */
  unmet(keys: ServerKeys, now: number): boolean
}

function mergeWishes(wishes: readonly KeyWish[]): MergedWish[] {
  return [...groupBy(wishes, ({ serverName }) => serverName)].map(([serverName, parts]) => ({
    serverName,
    keyIds: [...new Set(parts.flatMap(({ keyIds }) => keyIds))],
    validAtTs: Math.max(...parts.map(({ validAtTs }) => validAtTs)),
    unmet: (keys, now) => parts.some((part) => !isMet(part, keys, now)),
  }))
}

/** One of the keys will do. */
function isMet({ keyIds, validAtTs }: KeyWish, keys: ServerKeys, now: number): boolean {
  return keyIds.some((keyId) => {
    const key = keys.get(keyId)
    return key !== undefined && isKeyValidAt(key.validUntilTs, validAtTs, now)
  })
}

/** Of several documents that name the same key, the one that is valid for longer. */
function newestDocuments(
  documents: readonly ServerKeyDocument[],
  fetchedTs: number,
  isKept: (key: Pick<ServerKey, 'serverName' | 'keyId'>) => boolean,
): Parameters<ServerKeysStore['putDocuments']>[1] {
  const byKey = new Map<string, ServerKeyDocument>()
  for (const document of documents) {
    for (const { keyId } of document.keys) {
      const { serverName } = document
      if (!isKept({ serverName, keyId })) continue
      const name = nameOf({ serverName, keyId })
      const before = byKey.get(name)
      if (before === undefined || before.validUntilTs < document.validUntilTs) byKey.set(name, document)
    }
  }
  return [...new Set(byKey.values())].map((document) => {
    const { serverName, validUntilTs } = document
    const text = serverKeysText(document)
    const keyIds = document.keys
      .map(({ keyId }) => keyId)
      .filter((keyId) => byKey.get(nameOf({ serverName, keyId })) === document)
      .slice(0, Math.floor(MAX_STORED_BYTES / Buffer.byteLength(text)))
    return { serverName, keyIds, fetchedTs, validUntilTs, text }
  })
}
