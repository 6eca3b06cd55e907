import { verifySignatureInBackground, type Ed25519VerifyKey } from '../../protocol/ed25519.js'
import type { Event } from '../../protocol/event.js'
import { signersOf } from '../../protocol/event-signers.js'
import { signedText } from '../../protocol/hashes.js'
import type { EventId, ServerName } from '../../protocol/ids.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { isKeyValidAt } from '../../protocol/server-keys.js'
import { signableText, signaturesOf } from '../../protocol/signed-json.js'
import { nextTurn, type Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { KeyPurpose, KeyWish } from './key-fetcher.js'

/** A signature that is not there, not by a key that counts, or wrong. The message says which, and whose. */
export class SignatureError extends Error {
  override readonly name = 'SignatureError'
}

/** A key that a server has published. */
export interface TrustedKey {
  readonly key: Ed25519VerifyKey
  /** As the server says; see `isKeyValidAt`. */
  readonly validUntilTs: number
}

/** Where keys come from: the memory, the database, other servers. */
export interface KeySource {
  /** The keys of servers, by server and key ID: those that are wished for where they can be had, and others. */
  getKeys(
    wishes: readonly KeyWish[],
    purpose: KeyPurpose,
  ): Promise<ReadonlyMap<ServerName, ReadonlyMap<string, TrustedKey>>>
}

export interface KeyringDependencies {
  readonly keys: KeySource
  readonly clock: Pick<Clock, 'now'>
}

/** Events that are prepared before others get a turn. */
const EVENTS_PER_TURN = 50

interface SignatureCheck {
  readonly serverName: ServerName
  /** By key ID. */
  readonly signatures: ReadonlyMap<string, string>
  readonly text: string
  /** When the key must have been valid; 0: at any time. */
  readonly validAtTs: number
}

/** Verifies what other servers have signed, with keys that it gets for itself. */
export class Keyring {
  readonly #deps: KeyringDependencies

  constructor(deps: KeyringDependencies) {
    this.#deps = deps
  }

  /**
   * Verifies the signatures that events of one room version need, whatever servers they are of: one look-up of keys for
   * all, and the work on the threads of the pool. Gives the events that fail, with the reason.
   * https://spec.matrix.org/latest/server-server-api/#validating-hashes-and-signatures-on-received-events
   */
  async verifyEvents(
    rules: RoomVersionRules,
    events: readonly Event[],
  ): Promise<ReadonlyMap<EventId, string>> {
    const checks: { event: Event; check: SignatureCheck }[] = []
    const failures = new Map<EventId, string>()
    for (const [index, event] of events.entries()) {
      if (index > 0 && index % EVENTS_PER_TURN === 0) await nextTurn()
      const prepared = prepareEvent(rules, event)
      if (typeof prepared === 'string') failures.set(event.eventId, prepared)
      else checks.push(...prepared.map((check) => ({ event, check })))
    }
    const reasons = await this.#run(
      checks.map(({ check }) => check),
      'event',
    )
    for (const [index, reason] of reasons.entries()) {
      const { event } = checks[index]!
      if (reason !== undefined && !failures.has(event.eventId)) failures.set(event.eventId, reason)
    }
    return failures
  }

  /**
   * Verifies that a server has signed an object. `validAtTs`: when the key must have been valid, by default now; 0 for
   * at any time. Rejects with a `SignatureError`.
   */
  async verifyJson(
    serverName: ServerName,
    json: JsonObject,
    options: { readonly validAtTs?: number } = {},
  ): Promise<void> {
    const check = {
      serverName,
      signatures: signaturesOf(json, serverName),
      text: signableText(json),
      validAtTs: options.validAtTs ?? this.#deps.clock.now(),
    }
    await this.#verifyOne(check, 'event')
  }

  /**
   * Verifies that a server has signed a text now, with one of these signatures by key ID. Rejects with a
   * `SignatureError`.
   */
  async verifyRequest(
    serverName: ServerName,
    text: string,
    signatures: ReadonlyMap<string, string>,
  ): Promise<void> {
    const check = { serverName, signatures, text, validAtTs: this.#deps.clock.now() }
    await this.#verifyOne(check, 'request')
  }

  async #verifyOne(check: SignatureCheck, purpose: KeyPurpose): Promise<void> {
    const [reason] = await this.#run([check], purpose)
    if (reason !== undefined) throw new SignatureError(reason)
  }

  /** For each check why it fails, or undefined. */
  async #run(checks: readonly SignatureCheck[], purpose: KeyPurpose): Promise<(string | undefined)[]> {
    const signed = checks.filter(({ signatures }) => signatures.size > 0)
    const keys = await this.#deps.keys.getKeys(
      signed.map(({ serverName, signatures, validAtTs }) => ({
        serverName,
        keyIds: [...signatures.keys()],
        validAtTs,
      })),
      purpose,
    )
    const now = this.#deps.clock.now()
    return Promise.all(checks.map((check) => verify(check, keys.get(check.serverName), now)))
  }
}

/** What is to be verified of an event; or why it need not be. */
function prepareEvent(rules: RoomVersionRules, event: Event): SignatureCheck[] | string {
  const text = signedText(event)
  // Keys that were valid once suffice in the oldest room versions.
  const validAtTs = rules.enforceKeyValidity ? event.originServerTs : 0
  const checks: SignatureCheck[] = []
  for (const serverName of signersOf(event)) {
    const signatures = signaturesOf(event.json, serverName)
    if (signatures.size === 0) return `${serverName} has not signed the event`
    checks.push({ serverName, signatures, text, validAtTs })
  }
  return checks
}

/** One good signature by a key that counts will do. */
async function verify(
  { serverName, signatures, text, validAtTs }: SignatureCheck,
  keys: ReadonlyMap<string, TrustedKey> | undefined,
  now: number,
): Promise<string | undefined> {
  if (signatures.size === 0) return `there is no signature of ${serverName}`
  let reason: string | undefined
  for (const [keyId, signature] of signatures) {
    const key = keys?.get(keyId)
    if (key === undefined) reason ??= `the key ${keyId} of ${serverName} is not known`
    else if (!isKeyValidAt(key.validUntilTs, validAtTs, now)) {
      reason ??= `the key ${keyId} of ${serverName} was not valid at the time`
    } else if (await verifySignatureInBackground(key.key, text, signature)) return undefined
    else reason = `the signature of ${serverName} with ${keyId} is wrong`
  }
  return reason
}
