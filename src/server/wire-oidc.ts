import type { Services } from '../services/services.js'
import { createOidcFetch } from '../services/sign-on/oidc-fetch.js'
import { OidcLogouts } from '../services/sign-on/oidc-logouts.js'
import { OidcProvider } from '../services/sign-on/oidc-provider.js'
import { OidcSignOns } from '../services/sign-on/oidc-sign-ons.js'
import type { SignOn } from '../services/sign-on/sign-on.js'
import { DeviceProviderSessionsStore } from '../storage/stores/device-provider-sessions.js'
import { ExternalIdsStore } from '../storage/stores/external-ids.js'
import type { BackgroundWork } from './lifecycle.js'
import type { Base } from './wire-base.js'
import type { IdentityProviderParts } from './wire-identity-providers.js'
import type { People } from './wire-people.js'

/** Constructs the services that speak OpenID Connect. Nobody is asked for anything yet. */
export function createOidcProviders({
  config,
  http,
  clock,
  logger,
}: IdentityProviderParts): readonly OidcProvider[] {
  // The operator has named them: they may be anywhere.
  const fetch = createOidcFetch(http.toOwn)
  const callbackUrl = `${config.server.publicBaseUrl}_synapse/client/oidc/callback`
  return config.oidc.providers.map(
    (provider) => new OidcProvider({ config: provider, fetch, clock, logger, callbackUrl }),
  )
}

/** Asks all providers of a configuration for what has to be known of them; says what is wrong with each. */
export function examineOidcProviders(
  parts: IdentityProviderParts,
): Promise<{ readonly name: string; readonly issuer: string; readonly problem: string | undefined }[]> {
  return Promise.all(
    createOidcProviders(parts).map(async (provider) => {
      const { name, config } = provider
      const problem = await provider.examine().then(
        () => undefined,
        (error: unknown) => (error as Error).message,
      )
      return { name, issuer: config.issuer, problem }
    }),
  )
}

/** Constructs what becomes of their answers, and of what they say later. */
export function createOidc(
  { parts, stores, shared }: Base,
  { accounts }: People,
  { providers, signOn }: { readonly providers: readonly OidcProvider[]; readonly signOn: SignOn },
): { readonly services: Pick<Services, 'oidcLogouts' | 'oidcSignOns'>; readonly background: BackgroundWork } {
  const signOns = new OidcSignOns(providers)
  const logouts = new OidcLogouts({
    ...shared,
    providers,
    signOn,
    sessions: new DeviceProviderSessionsStore(),
    externalIds: new ExternalIdsStore(),
    loginTokens: stores.loginTokens,
    devices: accounts.devices,
    logger: parts.logger,
  })
  const isServed = providers.length > 0
  return {
    services: {
      oidcSignOns: isServed ? signOns : undefined,
      oidcLogouts: isServed ? logouts : undefined,
    },
    background: {
      start() {
        signOns.start()
      },
      stop() {
        signOns.stop()
      },
    },
  }
}
