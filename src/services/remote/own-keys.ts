import type { ServerName } from '../../protocol/ids.js'
import { canonicalJson } from '../../protocol/canonical-json.js'
import { makeServerKeys } from '../../protocol/server-keys.js'
import type { OldVerifyKey, SigningKey } from '../../protocol/signing-keys.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { TrustedKey } from './keyring.js'

export interface OwnKeysOptions {
  readonly serverName: ServerName
  readonly current: readonly SigningKey[]
  readonly old: readonly OldVerifyKey[]
  /** For how long others may keep what is published. */
  readonly validityMs: number
}

/** What this server publishes of its keys, which may be replaced while it runs. */
export class OwnKeys {
  #options: OwnKeysOptions
  readonly #clock: Pick<Clock, 'now'>
  #published: { readonly document: JsonObject; readonly renewTs: number } | undefined
  #verifyKeys: ReadonlyMap<string, TrustedKey> | undefined

  constructor(options: OwnKeysOptions, clock: Pick<Clock, 'now'>) {
    this.#options = options
    this.#clock = clock
  }

  /**
   * The signed document. Made anew when half of its time is over, so that it is good for as long again.
   * https://spec.matrix.org/latest/server-server-api/#publishing-keys
   */
  document(): JsonObject {
    const now = this.#clock.now()
    if (this.#published === undefined || this.#published.renewTs <= now) {
      const { serverName, validityMs } = this.#options
      const keys = makeServerKeys(serverName, this.#options, now + validityMs)
      // In canonical order, so that what is left without the signatures is what was signed, byte by byte.
      const document = JSON.parse(canonicalJson(keys)) as JsonObject
      this.#published = { document, renewTs: now + validityMs / 2 }
    }
    return this.#published.document
  }

  /** Publishes these from now on. */
  replace(keys: Pick<OwnKeysOptions, 'current' | 'old'>): void {
    const { current, old } = keys
    this.#options = { ...this.#options, current, old }
    this.#published = undefined
    this.#verifyKeys = undefined
  }

  /** Those that this server's own signatures are verified with, by key ID. */
  verifyKeys(): ReadonlyMap<string, TrustedKey> {
    const { current, old } = this.#options
    this.#verifyKeys ??= new Map([
      ...old.map(({ keyId, key, expiredTs }) => [keyId, { key, validUntilTs: expiredTs }] as const),
      ...current.map(({ keyId, key }) => [keyId, { key: key.verifyKey, validUntilTs: Infinity }] as const),
    ])
    return this.#verifyKeys
  }
}
