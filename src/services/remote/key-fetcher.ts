import { readServerKeys, type ServerKeyDocument } from '../../protocol/server-keys.js'
import { isSignedBy } from '../../protocol/signed-json.js'
import type { Ed25519VerifyKey } from '../../protocol/ed25519.js'
import type { ServerName } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { Semaphore } from '../../util/semaphore.js'
import type { FederationClient } from './federation-client.js'
import { FederationError } from './federation-error.js'

/** A server that is trusted to tell the keys of others. */
export interface TrustedKeyServer {
  readonly serverName: ServerName
  /** By key ID. Empty: whoever answers under its name is believed. */
  readonly verifyKeys: ReadonlyMap<string, Ed25519VerifyKey>
}

/**
 * What keys are wanted for: to let a request in, for events and other objects, or because somebody else asks what this
 * server knows. Servers that do not answer hold up those only who want the same.
 */
export type KeyPurpose = 'request' | 'event' | 'notary'

/** Which keys are wanted of a server. */
export interface KeyWish {
  readonly serverName: ServerName
  /** Empty: all. */
  readonly keyIds: readonly string[]
  /** They should be valid at this time. */
  readonly validAtTs: number
}

export interface KeyFetcherDependencies {
  readonly client: Pick<FederationClient, 'request' | 'mayTalkTo'>
  readonly trustedServers: readonly TrustedKeyServer[]
}

const ORIGIN_TIMEOUT_MS = 10_000
const NOTARY_TIMEOUT_MS = 20_000
/** A hundred keys take a fifth of it. */
const MAX_DOCUMENT_BYTES = 64 * 1024
const MAX_NOTARY_BYTES = 16 * 1024 * 1024
/** How many servers are asked for their keys at once. */
const CONCURRENCY: Readonly<Record<KeyPurpose, number>> = { request: 100, event: 50, notary: 10 }
/** Requests that wait to be let in: whoever sends them need not say the truth of who they are. */
const MAX_WAITING_REQUESTS = 500
/** Of one question to a notary. */
const MAX_PER_QUESTION = 100

/** Asks servers for their keys, and those that are trusted for the keys of others. */
export class KeyFetcher {
  readonly #deps: KeyFetcherDependencies
  readonly #places: Readonly<Record<KeyPurpose, Semaphore>> = {
    request: new Semaphore(CONCURRENCY.request),
    event: new Semaphore(CONCURRENCY.event),
    notary: new Semaphore(CONCURRENCY.notary),
  }

  constructor(deps: KeyFetcherDependencies) {
    this.#deps = deps
  }

  get hasNotaries(): boolean {
    return this.#deps.trustedServers.length > 0
  }

  /** From the server itself. Rejects with a `FederationError`. */
  async fromOrigin(serverName: ServerName, purpose: KeyPurpose): Promise<ServerKeyDocument> {
    const places = this.#places[purpose]
    if (purpose === 'request' && places.queueLength >= MAX_WAITING_REQUESTS) {
      throw new FederationError(serverName, 'unreachable', 'too many servers are asked for their keys')
    }
    return places.run(async () => {
      const json = await this.#deps.client.request({
        destination: serverName,
        method: 'GET',
        path: '/_matrix/key/v2/server',
        timeoutMs: ORIGIN_TIMEOUT_MS,
        maxBytes: MAX_DOCUMENT_BYTES,
        // It may have asked something just now: then it is there.
        ignoreBackoff: true,
        forgetsFailure: true,
      })
      const document = readServerKeys(json, serverName)
      if ('problem' in document) throw new FederationError(serverName, 'malformed', document.problem)
      return document
    })
  }

  /** What the notaries know, asked one after the other for what those before could not tell. Never rejects. */
  async fromNotaries(wishes: readonly KeyWish[]): Promise<ServerKeyDocument[]> {
    const found: ServerKeyDocument[] = []
    let open = wishes.filter(({ serverName }) => this.#deps.client.mayTalkTo(serverName))
    for (const notary of this.#deps.trustedServers) {
      if (open.length === 0) break
      const documents = await this.#askNotary(notary, open)
      found.push(...documents)
      const known = new Set(documents.map(({ serverName }) => serverName))
      open = open.filter(({ serverName }) => !known.has(serverName))
    }
    return found
  }

  async #askNotary(notary: TrustedKeyServer, wishes: readonly KeyWish[]): Promise<ServerKeyDocument[]> {
    const found: ServerKeyDocument[] = []
    for (let start = 0; start < wishes.length; start += MAX_PER_QUESTION) {
      const part = wishes.slice(start, start + MAX_PER_QUESTION)
      try {
        const answer = await this.#deps.client.request({
          destination: notary.serverName,
          method: 'POST',
          path: '/_matrix/key/v2/query',
          body: { server_keys: toQuestion(part) },
          timeoutMs: NOTARY_TIMEOUT_MS,
          maxBytes: MAX_NOTARY_BYTES,
        })
        found.push(...readNotaryAnswer(answer, notary, part))
      } catch (error) {
        if (error instanceof FederationError) return found
        throw error
      }
    }
    return found
  }
}

function toQuestion(wishes: readonly KeyWish[]): JsonObject {
  return Object.fromEntries(
    wishes.map(({ serverName, keyIds, validAtTs }) => [
      serverName,
      Object.fromEntries(keyIds.map((keyId) => [keyId, { minimum_valid_until_ts: validAtTs }])),
    ]),
  )
}

/** Documents of the servers that were asked for, signed by the notary and by the servers themselves. */
function readNotaryAnswer(
  answer: JsonObject,
  notary: TrustedKeyServer,
  wishes: readonly KeyWish[],
): ServerKeyDocument[] {
  const list = answer['server_keys']
  if (!Array.isArray(list)) return []
  const wanted = new Set<string>(wishes.map(({ serverName }) => serverName))
  return list.flatMap((json) => {
    if (!isJsonObject(json) || typeof json['server_name'] !== 'string') return []
    if (!wanted.has(json['server_name'])) return []
    if (notary.verifyKeys.size > 0 && !isSignedBy(json, notary.serverName, notary.verifyKeys)) return []
    const document = readServerKeys(json, json['server_name'] as ServerName)
    return 'problem' in document ? [] : [document]
  })
}
