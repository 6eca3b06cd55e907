import type { HomeserverConfig } from '../config/homeserver-config.js'
import { CasProvider } from '../services/sign-on/cas-provider.js'
import type { IdentityProvider } from '../services/sign-on/identity-provider.js'
import type { OidcProvider } from '../services/sign-on/oidc-provider.js'
import type { Logger } from '../telemetry/logger.js'
import type { Clock } from '../util/clock.js'
import type { OutboundHttp } from './outbound-http.js'
import { createOidcProviders } from './wire-oidc.js'

/** The services at which people sign on. */
export interface IdentityProviders {
  /** All of them, in the order in which people see them. */
  readonly list: readonly IdentityProvider[]
  /** Undefined: there is no CAS server. */
  readonly cas: CasProvider | undefined
  readonly oidc: readonly OidcProvider[]
}

export interface IdentityProviderParts {
  readonly config: HomeserverConfig
  readonly clock: Clock
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly http: Pick<OutboundHttp, 'toOwn'>
}

/** Constructs what the configuration names. Nobody is asked for anything yet. */
export function createIdentityProviders(parts: IdentityProviderParts): IdentityProviders {
  const { config, logger, http } = parts
  const { publicBaseUrl } = config.server
  const cas =
    config.signOn.cas &&
    new CasProvider({ http: http.toOwn, logger, publicBaseUrl, options: config.signOn.cas })
  const oidc = createOidcProviders(parts)
  return { list: [...(cas === undefined ? [] : [cas]), ...oidc], cas, oidc }
}
