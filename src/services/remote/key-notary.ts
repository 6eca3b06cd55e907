import type { ServerName } from '../../protocol/ids.js'
import { signJson, type JsonSigner } from '../../protocol/signed-json.js'
import type { Database } from '../../storage/database.js'
import type { ServerKeyDocument, ServerKeysStore } from '../../storage/stores/server-keys.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { KeyCache } from './key-cache.js'
import type { KeyWish } from './key-fetcher.js'
import type { OwnKeys } from './own-keys.js'

export interface KeyNotaryDependencies {
  readonly db: Database
  readonly store: ServerKeysStore
  readonly keys: Pick<KeyCache, 'refresh'>
  readonly ownKeys: Pick<OwnKeys, 'document'>
  readonly serverName: ServerName
  readonly signer: JsonSigner
  readonly clock: Pick<Clock, 'now'>
  readonly mayTalkTo: (serverName: ServerName) => boolean
}

/** Servers that are asked at the same time for others, who need not say who they are: of more, what is known is told. */
const MAX_ASKED = 100

/** Tells servers the keys of others, and vouches for having seen them. */
export class KeyNotary {
  readonly #deps: KeyNotaryDependencies
  #asked = 0

  constructor(deps: KeyNotaryDependencies) {
    this.#deps = deps
  }

  /**
   * What the named servers have signed of their keys, with this server's signature: from the database, and where that
   * is not there, not valid for as long as is wished, or past half of its time, from the servers themselves as far as
   * they answer. Documents that are valid no more are told where there is nothing better.
   * https://spec.matrix.org/latest/server-server-api/#querying-keys-through-another-server
   */
  async query(wishes: readonly KeyWish[]): Promise<JsonObject[]> {
    const { serverName: own, ownKeys, mayTalkTo } = this.#deps
    const others = wishes.filter(({ serverName }) => serverName !== own && mayTalkTo(serverName))
    const known = await this.#listDocuments(others)
    const stale = others.filter((wish) => !this.#suffices(wish, known.get(wish.serverName) ?? []))
    let documents = known
    if (stale.length > 0) {
      await this.#refresh(stale.slice(0, MAX_ASKED - this.#asked))
      documents = await this.#listDocuments(others)
    }
    const found = others.flatMap((wish) => selectDocuments(wish, documents.get(wish.serverName) ?? []))
    const signed = found.map(({ text }) => signJson(JSON.parse(text) as JsonObject, this.#deps.signer))
    return wishes.some(({ serverName }) => serverName === own) ? [ownKeys.document(), ...signed] : signed
  }

  async #refresh(wishes: readonly KeyWish[]): Promise<void> {
    this.#asked += wishes.length
    try {
      await this.#deps.keys.refresh(wishes)
    } finally {
      this.#asked -= wishes.length
    }
  }

  async #listDocuments(
    wishes: readonly KeyWish[],
  ): Promise<ReadonlyMap<ServerName, readonly ServerKeyDocument[]>> {
    const { db, store } = this.#deps
    const serverNames = [...new Set(wishes.map(({ serverName }) => serverName))]
    const documents = await store.listDocuments(db.reader, serverNames)
    const byServer = new Map<ServerName, ServerKeyDocument[]>(serverNames.map((name) => [name, []]))
    for (const document of documents) byServer.get(document.serverName)?.push(document)
    return byServer
  }

  #suffices(wish: KeyWish, documents: readonly ServerKeyDocument[]): boolean {
    const now = this.#deps.clock.now()
    const wanted = selectDocuments(wish, documents)
    if (wanted.length === 0) return false
    const hasAll = wish.keyIds.every((keyId) => wanted.some(({ keyIds }) => keyIds.includes(keyId)))
    return (
      hasAll && wanted.every((document) => document.validUntilTs >= wish.validAtTs && isFresh(document, now))
    )
  }
}

/** With the keys that are wished for; without wishes, the newest of all. */
function selectDocuments(
  { keyIds }: KeyWish,
  documents: readonly ServerKeyDocument[],
): readonly ServerKeyDocument[] {
  if (keyIds.length > 0) {
    return documents.filter((document) => document.keyIds.some((keyId) => keyIds.includes(keyId)))
  }
  const newest = documents.toSorted((a, b) => b.fetchedTs - a.fetchedTs)[0]
  return newest === undefined ? [] : [newest]
}

/** Less than half of the time is over for which the server says that its keys are valid. */
function isFresh({ fetchedTs, validUntilTs }: ServerKeyDocument, now: number): boolean {
  return now - fetchedTs < (validUntilTs - fetchedTs) / 2
}
