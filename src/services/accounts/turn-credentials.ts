import { createHmac } from 'node:crypto'
import { MatrixError } from '../../protocol/errors.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from './requester.js'

export interface TurnOptions {
  /** `turn:` and `turns:` URIs; empty: there are no relays. */
  readonly uris: readonly string[]
  readonly sharedSecret: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly lifetimeMs: number
  readonly allowsGuests: boolean
}

/** Names and passwords for the servers that relay calls. https://spec.matrix.org/latest/client-server-api/#voice-over-ip */
export class TurnCredentials {
  readonly #clock: Clock
  readonly #options: TurnOptions

  constructor(clock: Clock, options: TurnOptions) {
    this.#clock = clock
    this.#options = options
  }

  /**
   * The body of the answer to `/voip/turnServer`: empty where there are no relays. With a shared secret the name says
   * when it expires, and the password proves that this server has made it. Throws `M_GUEST_ACCESS_FORBIDDEN`.
   * https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00
   */
  issue(requester: Requester): JsonObject {
    const { uris, sharedSecret, username, password, lifetimeMs, allowsGuests } = this.#options
    if (requester.isGuest && !allowsGuests) {
      throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do this')
    }
    if (uris.length === 0) return {}
    const shared = { ttl: Math.floor(lifetimeMs / 1000), uris: [...uris] }
    if (sharedSecret !== undefined) {
      const expiry = Math.floor((this.#clock.now() + lifetimeMs) / 1000)
      const name = `${expiry}:${requester.userId}`
      return {
        ...shared,
        username: name,
        password: createHmac('sha1', sharedSecret).update(name).digest('base64'),
      }
    }
    if (username === undefined || password === undefined) return {}
    return { ...shared, username, password }
  }
}
