import type { ExternalIdentity } from './identity-provider.js'
import type { OidcAnswer, OidcProvider } from './oidc-provider.js'
import type { SignOnAttempt } from './sign-on.js'
import { badSession } from './sign-on-failure.js'

/** The services at which people sign on by OpenID Connect. */
export class OidcSignOns {
  readonly providers: readonly OidcProvider[]
  readonly #stopping = new AbortController()

  constructor(providers: readonly OidcProvider[]) {
    this.providers = providers
  }

  /** Who has come back with an answer to an attempt. Throws a `SignOnFailure`, as `OidcProvider.identify`. */
  async identify(attempt: SignOnAttempt, answer: OidcAnswer): Promise<ExternalIdentity> {
    // Another kind of service answers elsewhere.
    const provider = this.providers.find(({ id }) => id === attempt.provider.id)
    if (provider === undefined) throw badSession()
    return provider.identify(attempt, answer)
  }

  /** Finds out, while the server already runs, at which of them nobody will be able to sign on. */
  start(): void {
    for (const provider of this.providers) void provider.prepare(this.#stopping.signal)
  }

  /** What is still being asked ends with the connections. */
  stop(): void {
    this.#stopping.abort()
  }
}
