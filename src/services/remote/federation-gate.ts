import type { ServerName } from '../../protocol/ids.js'
import type { InboundLimiter } from './inbound-limiter.js'
import type { RequestVerifier, SignedRequest } from './request-verifier.js'

/** Where requests of other servers come in. */
export class FederationGate {
  readonly #verifier: RequestVerifier
  readonly #limiter: InboundLimiter

  constructor(verifier: RequestVerifier, limiter: InboundLimiter) {
    this.#verifier = verifier
    this.#limiter = limiter
  }

  /**
   * Throws where a request cannot be one of another server, before its body is looked at: `M_UNAUTHORIZED`,
   * `M_FORBIDDEN`.
   */
  check(request: Pick<SignedRequest, 'authorization'>): void {
    this.#verifier.claimedOrigin(request)
  }

  /** The server that has signed a request. Throws `M_UNAUTHORIZED` or `M_FORBIDDEN`. */
  verify(request: SignedRequest): Promise<ServerName> {
    return this.#verifier.verify(request)
  }

  /** Runs a request of a server when it is its turn. Throws `M_LIMIT_EXCEEDED`. */
  limit<T>(origin: ServerName, run: () => Promise<T>): Promise<T> {
    return this.#limiter.run(origin, run)
  }
}
