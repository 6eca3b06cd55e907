import type { OidcProviderConfig } from '../../config/sections/oidc.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { OidcFetch } from './oidc-fetch.js'

/** What has to be known of a provider to sign people on. */
export interface OidcMetadata {
  /** As it stands in its tokens. */
  readonly issuer: string
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  readonly userinfoEndpoint: string | undefined
  readonly jwksUri: string | undefined
  /** Of ID tokens and logout tokens; at least one, none of which the client could sign with. */
  readonly signatureAlgorithms: readonly string[]
  readonly usesPkce: boolean
  /** RFC 9207: its answers always say from whom they come. */
  readonly namesIssuer: boolean
}

/** The provider cannot be asked, or what it says of itself cannot be used. */
export class OidcMetadataError extends Error {
  override readonly name = 'OidcMetadataError'
}

export interface OidcMetadataDependencies {
  readonly fetch: OidcFetch
  readonly clock: Pick<Clock, 'now'>
  readonly config: OidcProviderConfig
}

const FRESH_MS = 60 * 60_000
/** One that has not answered is not asked again for so long. */
const RETRY_MS = 5_000
const DEFAULT_ALGORITHM = 'RS256'
const SIGNATURE = /^(?:(?:RS|PS|ES)(?:256|384|512)|EdDSA|Ed25519)$/

/**
 * Knows a provider's endpoints: those of the configuration, and what it says of itself, which is asked for when somebody
 * needs it and kept for an hour, or for as long as it cannot be asked again.
 * https://openid.net/specs/openid-connect-discovery-1_0.html
 */
export class OidcMetadataSource {
  readonly #deps: OidcMetadataDependencies
  readonly #flight = new SingleFlight<OidcMetadata>()
  #known: { readonly metadata: OidcMetadata; readonly ts: number } | undefined
  #failed: { readonly error: unknown; readonly ts: number } | undefined

  constructor(deps: OidcMetadataDependencies) {
    this.#deps = deps
  }

  /** Rejects with an `OidcMetadataError`. */
  async get(): Promise<OidcMetadata> {
    const now = this.#deps.clock.now()
    if (this.#known !== undefined && now - this.#known.ts < FRESH_MS) return this.#known.metadata
    if (this.#failed !== undefined && now - this.#failed.ts < RETRY_MS)
      return this.#fallBack(this.#failed.error)
    return this.#flight.run('metadata', () => this.#refresh())
  }

  async #refresh(): Promise<OidcMetadata> {
    const ts = this.#deps.clock.now()
    try {
      const metadata = this.#build(await this.#discover())
      this.#known = { metadata, ts }
      this.#failed = undefined
      return metadata
    } catch (error) {
      this.#failed = { error, ts }
      return this.#fallBack(error)
    }
  }

  /** What was true an hour ago is better than nothing. */
  #fallBack(error: unknown): OidcMetadata {
    if (this.#known !== undefined) return this.#known.metadata
    throw error
  }

  async #discover(): Promise<JsonObject> {
    const { config, fetch } = this.#deps
    if (!config.discovers) return {}
    const url = `${config.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    try {
      const response = await fetch(url, { headers: { Accept: 'application/json' } })
      if (response.status !== 200) throw new Error(`it answers with status ${response.status}`)
      const document: unknown = await response.json()
      if (!isJsonObject(document)) throw new Error('what it answers is no JSON object')
      return document
    } catch (error) {
      throw new OidcMetadataError(`${url} cannot be read: ${(error as Error).message}`, { cause: error })
    }
  }

  #build(found: JsonObject): OidcMetadata {
    const { config } = this.#deps
    const { endpoints, skipsVerification } = config
    const metadata = {
      issuer: textOf(found['issuer']) ?? config.issuer,
      authorizationEndpoint: endpoints.authorization ?? textOf(found['authorization_endpoint']) ?? '',
      tokenEndpoint: endpoints.token ?? textOf(found['token_endpoint']) ?? '',
      userinfoEndpoint: endpoints.userinfo ?? textOf(found['userinfo_endpoint']),
      jwksUri: endpoints.jwks ?? textOf(found['jwks_uri']),
      signatureAlgorithms: algorithmsOf(config, found),
      usesPkce: usesPkce(config, found),
      namesIssuer: found['authorization_response_iss_parameter_supported'] === true,
    }
    checkNeeded(metadata, config)
    if (!skipsVerification) checkStrictly(metadata, found, config)
    return metadata
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function listOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((element) => typeof element === 'string') : undefined
}

/** Only those for which the provider alone has the key: a token that is not signed says nothing. */
function algorithmsOf({ signatureAlgorithms }: OidcProviderConfig, found: JsonObject): readonly string[] {
  const named = signatureAlgorithms ?? listOf(found['id_token_signing_alg_values_supported'])
  const usable = named?.filter((name) => SIGNATURE.test(name)) ?? []
  return usable.length === 0 ? [DEFAULT_ALGORITHM] : usable
}

function usesPkce({ pkce }: OidcProviderConfig, found: JsonObject): boolean {
  if (pkce === 'auto') return listOf(found['code_challenge_methods_supported'])?.includes('S256') === true
  return pkce === 'always'
}

function checkNeeded(metadata: OidcMetadata, { usesUserinfo }: OidcProviderConfig): void {
  const needed = {
    authorization_endpoint: metadata.authorizationEndpoint,
    token_endpoint: metadata.tokenEndpoint,
    // Tokens have to be signed by somebody.
    ...(usesUserinfo ? { userinfo_endpoint: metadata.userinfoEndpoint } : { jwks_uri: metadata.jwksUri }),
  }
  for (const [name, url] of Object.entries(needed)) {
    if (url === undefined || url === '') throw new OidcMetadataError(`the provider names no ${name}`)
  }
  for (const url of urlsOf(metadata)) {
    if (!URL.canParse(url) || !/^https?:/.test(url))
      throw new OidcMetadataError(`the provider names ${url.slice(0, 200)}, which is no URL`)
  }
}

function urlsOf(metadata: OidcMetadata): string[] {
  const { authorizationEndpoint, tokenEndpoint, userinfoEndpoint, jwksUri } = metadata
  return [authorizationEndpoint, tokenEndpoint, userinfoEndpoint ?? [], jwksUri ?? []].flat()
}

/** https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata */
function checkStrictly(metadata: OidcMetadata, found: JsonObject, config: OidcProviderConfig): void {
  const { issuer } = metadata
  // Synapse takes whatever name it finds; here only a slash at its end may differ, of which few think.
  if (issuer.replace(/\/$/, '') !== config.issuer.replace(/\/$/, '')) {
    throw new OidcMetadataError(`the provider calls itself ${issuer.slice(0, 200)}, not ${config.issuer}`)
  }
  for (const url of [issuer, ...urlsOf(metadata)]) {
    if (!url.startsWith('https://')) {
      throw new OidcMetadataError(`the provider names ${url.slice(0, 200)}, which is not https`)
    }
  }
  const methods = listOf(found['token_endpoint_auth_methods_supported'])
  if (methods?.includes(config.clientAuthMethod) === false) {
    throw new OidcMetadataError(
      `the provider does not take client_auth_method ${config.clientAuthMethod}, but ${methods.join(', ').slice(0, 200)}`,
    )
  }
  if (listOf(found['response_types_supported'])?.includes('code') === false) {
    throw new OidcMetadataError('the provider does not serve the response type code')
  }
}
