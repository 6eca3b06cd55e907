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
  const cas = createCas(parts)
  const oidc = createOidcProviders(parts)
  return { list: [...(cas === undefined ? [] : [cas]), ...oidc], cas, oidc }
}

/** Asks the CAS server of a configuration for an answer: what is wrong with it. Undefined where there is none. */
export async function examineCas(
  parts: CasParts,
): Promise<
  { readonly name: string; readonly url: string; readonly problem: string | undefined } | undefined
> {
  const cas = createCas(parts)
  const { serverUrl: url = '' } = parts.config.signOn.cas ?? {}
  return cas && { name: cas.name, url, problem: await cas.examine() }
}

type CasParts = Pick<IdentityProviderParts, 'config'> & {
  readonly logger: Pick<Logger, 'warn'>
  readonly http: Pick<OutboundHttp, 'toOwn'>
}

function createCas({ config, logger, http }: CasParts): CasProvider | undefined {
  const { publicBaseUrl } = config.server
  const { cas: options } = config.signOn
  return options && new CasProvider({ http: http.toOwn, logger, publicBaseUrl, options })
}
