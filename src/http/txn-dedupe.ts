import type { Clock } from '../util/clock.js'
import type { Requester } from '../services/accounts/requester.js'

/** Clients try again within minutes; who comes later than this has made up a new transaction. */
export const TXN_LIFETIME_MS = 30 * 60 * 1000
const MAX_ANSWERS = 50_000

interface Answer {
  readonly promise: Promise<unknown>
  readonly startedTs: number
}

/**
 * Answers a request that is sent again with the answer to the first: "requests with the same transaction ID are
 * idempotent". What failed is tried anew.
 * https://spec.matrix.org/latest/client-server-api/#transaction-identifiers
 */
export class TxnDedupe {
  readonly #clock: Pick<Clock, 'now'>
  /** In the order of their beginning. */
  readonly #answers = new Map<string, Answer>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** How many answers are remembered. */
  get size(): number {
    return this.#answers.size
  }

  /** `isFinal`: whether an answer may be repeated. */
  async once<T>(key: string, answer: () => Promise<T>, isFinal: (answer: T) => boolean): Promise<T> {
    const startedTs = this.#clock.now()
    this.#forgetOld(startedTs)
    const known = this.#answers.get(key)
    if (known !== undefined) return known.promise as Promise<T>
    const promise = answer()
    const entry = { promise, startedTs }
    this.#answers.set(key, entry)
    let keep = false
    try {
      const result = await promise
      keep = isFinal(result)
      return result
    } finally {
      if (!keep && this.#answers.get(key) === entry) this.#answers.delete(key)
    }
  }

  #forgetOld(now: number): void {
    for (const [key, { startedTs }] of this.#answers) {
      if (startedTs > now - TXN_LIFETIME_MS && this.#answers.size <= MAX_ANSWERS) return
      this.#answers.delete(key)
    }
  }
}

/**
 * The scope of a transaction ID: a device, or the token or application service where there is none, and the endpoint
 * with all its parameters.
 */
export function txnKey(requester: Requester, operationId: string, params: readonly string[]): string {
  const { deviceId, appserviceId, tokenId, tokenHash } = requester
  const session = deviceId ?? `#${appserviceId ?? tokenId ?? tokenHash ?? ''}`
  return [requester.userId, session, operationId, ...params].join('\u0000')
}
