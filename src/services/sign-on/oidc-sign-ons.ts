import type { ExternalIdentity } from './identity-provider.js'
import type { OidcAnswer, OidcProvider } from './oidc-provider.js'
import type { SignOnAttempt } from './sign-on.js'
import { badSession } from './sign-on-failure.js'

/** The services at which people sign on by OpenID Connect. */
export class OidcSignOns {
  readonly providers: readonly OidcProvider[]
  #preparation: Promise<unknown> = Promise.resolve()

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
    this.#preparation = Promise.all(this.providers.map((provider) => provider.prepare()))
  }

  async stop(): Promise<void> {
    await this.#preparation
  }
}
