import { createHash } from 'node:crypto'
import type { TokenEndpointResponse } from 'openid-client'
import type { OidcProviderConfig } from '../../config/sections/oidc.js'
import { HttpFailure } from '../../net/http-client.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { randomToken } from '../../util/random.js'
import type { BeginContext, ExternalIdentity, IdentityProvider, SignOnPurpose } from './identity-provider.js'
import { OidcClientAuth } from './oidc-client-auth.js'
import type { OidcFetch } from './oidc-fetch.js'
import { OidcMapping } from './oidc-mapping.js'
import { OidcMetadataError, OidcMetadataSource, type OidcMetadata } from './oidc-metadata.js'
import { OidcTokenError, OidcTokens, type IdTokenClaims } from './oidc-tokens.js'
import { SignOnFailure } from './sign-on-failure.js'

export interface OidcProviderDependencies {
  readonly config: OidcProviderConfig
  readonly fetch: OidcFetch
  readonly clock: Pick<Clock, 'now'>
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Where the provider sends browsers back to, unless the configuration says otherwise. */
  readonly callbackUrl: string
}

/** What a browser has brought back, the first value of each name. */
export type OidcAnswer = ReadonlyMap<string, string>

/** https://www.rfc-editor.org/rfc/rfc7636#section-4.1 asks for 43 at least. */
const RANDOM_LENGTH = 48
const MAX_SHOWN = 300
/** Of what a client says that is handed on. */
const MAX_PASSED_ON = 512

/**
 * A service at which people sign on by OpenID Connect, or by OAuth 2.0 where it has a userinfo endpoint: the authorization
 * code flow. https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
 */
export class OidcProvider implements IdentityProvider {
  readonly id: string
  readonly name: string
  readonly icon?: string
  readonly brand?: string
  readonly registers: boolean
  readonly adoptsExistingUsers: boolean
  readonly answersByPost: boolean
  readonly config: OidcProviderConfig
  readonly metadata: OidcMetadataSource
  readonly tokens: OidcTokens
  readonly #deps: OidcProviderDependencies
  readonly #clientAuth: OidcClientAuth
  readonly #mapping: OidcMapping

  constructor(deps: OidcProviderDependencies) {
    const { config, logger } = deps
    this.#deps = deps
    this.config = config
    this.id = config.id
    this.name = config.name
    if (config.icon !== undefined) this.icon = config.icon
    if (config.brand !== undefined) this.brand = config.brand
    this.registers = config.registers
    this.adoptsExistingUsers = config.allowsExistingUsers
    this.answersByPost = mayAnswerByPost(config)
    this.metadata = new OidcMetadataSource(deps)
    this.tokens = new OidcTokens(deps)
    this.#clientAuth = new OidcClientAuth(config, deps.clock)
    this.#mapping = new OidcMapping({
      config,
      onWarning: (problem, err) => logger.warn({ err, provider: this.id }, problem),
    })
  }

  /** https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest */
  async begin(state: string, { query }: BeginContext): Promise<{ url: string; memory: JsonObject }> {
    const metadata = await this.#metadata()
    const { clientId, scopes, additionalParameters, passthroughParameters } = this.config
    const nonce = randomToken(RANDOM_LENGTH)
    const verifier = metadata.usesPkce ? randomToken(RANDOM_LENGTH) : undefined
    const url = new URL(metadata.authorizationEndpoint)
    const passedOn = passthroughParameters.flatMap((name) => {
      const value = query.get(name)
      return value === undefined || value.length > MAX_PASSED_ON ? [] : [[name, value] as const]
    })
    const parameters = {
      ...additionalParameters,
      ...Object.fromEntries(passedOn),
      // After what others say, so that nobody can say anything else.
      response_type: 'code',
      client_id: clientId,
      redirect_uri: this.#redirectUri,
      scope: scopes.join(' '),
      state,
      nonce,
      ...(verifier !== undefined && {
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      }),
    }
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    return { url: url.href, memory: { nonce, ...(verifier !== undefined && { verifier }) } }
  }

  /**
   * Who has come back from the provider with an answer to an attempt. Throws a `SignOnFailure` where the answer is none:
   * with the provider's own code, `invalid_request`, `invalid_token`, `fetch_error`, `provider_unavailable`,
   * `unauthorised` or `mapping_error`.
   */
  async identify(
    { purpose, memory }: { readonly purpose: SignOnPurpose; readonly memory: Readonly<JsonObject> },
    answer: OidcAnswer,
  ): Promise<ExternalIdentity> {
    const metadata = await this.#metadata()
    this.#checkIssuer(answer, metadata)
    const code = this.#codeOf(answer)
    const { nonce, verifier } = memory
    if (typeof nonce !== 'string') throw invalidToken()
    const response = await this.#exchange(code, typeof verifier === 'string' ? verifier : undefined, metadata)
    const idToken = await this.#readIdToken(response, nonce, metadata)
    const claims = this.config.usesUserinfo
      ? await this.#fetchUserinfo(response.access_token, metadata, idToken)
      : idToken
    if (claims === undefined) throw invalidToken('Missing id_token in token response')
    // A session that only the provider's signature speaks for.
    const session = idToken?.['sid']
    const identity =
      purpose.kind === 'confirm'
        ? { externalId: await this.#mapping.subjectOf(claims as JsonObject) }
        : await this.#mapping.identityOf(claims as JsonObject)
    return { ...identity, ...(typeof session === 'string' && session !== '' && { providerSession: session }) }
  }

  /** Asks the provider for all that has to be known of it. Rejects with an error that says what is wrong. */
  async examine(): Promise<void> {
    const metadata = await this.metadata.get()
    if (!this.config.usesUserinfo) await this.tokens.loadKeys(metadata)
  }

  /** Finds out early whether people will be able to sign on; says so in the log, until the signal aborts. Never fails. */
  async prepare(signal?: AbortSignal): Promise<void> {
    const { logger } = this.#deps
    try {
      await this.examine()
      await this.#checkMapping()
    } catch (err) {
      if (signal?.aborted) return
      logger.error(
        { err, provider: this.id },
        'An identity provider cannot be used: nobody can sign on there',
      )
    }
  }

  get #redirectUri(): string {
    return this.config.redirectUri ?? this.#deps.callbackUrl
  }

  async #metadata(): Promise<OidcMetadata> {
    try {
      return await this.metadata.get()
    } catch (err) {
      if (!(err instanceof OidcMetadataError)) throw err
      this.#deps.logger.error({ err, provider: this.id }, 'An identity provider cannot be used')
      throw unavailable(this.name)
    }
  }

  /** Another provider must not pass off its answers as this one's. https://www.rfc-editor.org/rfc/rfc9207#section-2.4 */
  #checkIssuer(answer: OidcAnswer, { issuer, namesIssuer }: OidcMetadata): void {
    const named = answer.get('iss')
    if (named === undefined ? namesIssuer : named !== issuer) {
      throw new SignOnFailure('invalid_request', 'The answer comes from another service')
    }
  }

  #codeOf(answer: OidcAnswer): string {
    const error = answer.get('error')
    if (error !== undefined) {
      const description = answer.get('error_description') ?? ''
      const facts = { provider: this.id, error: error.slice(0, MAX_SHOWN) }
      if (error === 'access_denied') this.#deps.logger.info(facts, 'Somebody has not been signed on')
      else this.#deps.logger.error(facts, 'An identity provider has answered with an error')
      throw new SignOnFailure(error.slice(0, MAX_SHOWN), description.slice(0, MAX_SHOWN))
    }
    const code = answer.get('code')
    if (code === undefined || code === '') {
      throw new SignOnFailure('invalid_request', 'Code parameter is missing')
    }
    return code
  }

  /** https://openid.net/specs/openid-connect-core-1_0.html#TokenEndpoint */
  async #exchange(
    code: string,
    verifier: string | undefined,
    metadata: OidcMetadata,
  ): Promise<TokenEndpointResponse> {
    const client = await import('openid-client')
    const { clientId, skipsVerification } = this.config
    const configuration = new client.Configuration(
      {
        issuer: metadata.issuer,
        token_endpoint: metadata.tokenEndpoint,
        id_token_signing_alg_values_supported: [...metadata.signatureAlgorithms],
      },
      clientId,
      // Times are judged with the signature, by the server's own clock.
      { [client.clockTolerance]: Number.MAX_SAFE_INTEGER },
      await this.#clientAuth.prepare(),
    )
    configuration[client.customFetch] = (url, { body, ...options }) =>
      this.#deps.fetch(url, { ...options, body })
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked so to stand out; the operator wants it
    if (skipsVerification) client.allowInsecureRequests(configuration)
    const parameters = {
      code,
      redirect_uri: this.#redirectUri,
      ...(verifier !== undefined && { code_verifier: verifier }),
    }
    try {
      return await client.genericGrantRequest(configuration, 'authorization_code', parameters)
    } catch (err) {
      // Not the error itself: answers with tokens hang on it.
      const facts = { problem: explain(err), provider: this.id }
      this.#deps.logger.warn(facts, 'An identity provider does not take a code')
      if (isNetworkFailure(err)) throw unavailable(this.name)
      const { error, error_description: description } = err as {
        error?: unknown
        error_description?: unknown
      }
      throw new SignOnFailure(
        typeof error === 'string' ? error.slice(0, MAX_SHOWN) : 'invalid_token',
        typeof description === 'string'
          ? description.slice(0, MAX_SHOWN)
          : 'The service does not say who you are',
      )
    }
  }

  async #readIdToken(
    response: TokenEndpointResponse,
    nonce: string,
    metadata: OidcMetadata,
  ): Promise<IdTokenClaims | undefined> {
    const { id_token: token, access_token: accessToken } = response
    if (token === undefined) return undefined
    try {
      return await this.tokens.readIdToken(token, metadata, {
        clientId: this.config.clientId,
        nonce,
        accessToken: this.config.usesUserinfo ? accessToken : undefined,
      })
    } catch (err) {
      this.#deps.logger.warn(
        { problem: explain(err), provider: this.id },
        'The ID token of an identity provider is not good',
      )
      if (isNetworkFailure(err)) throw unavailable(this.name)
      throw invalidToken(err instanceof OidcTokenError ? err.message : undefined)
    }
  }

  /** https://openid.net/specs/openid-connect-core-1_0.html#UserInfo */
  async #fetchUserinfo(
    accessToken: string,
    metadata: OidcMetadata,
    idToken: IdTokenClaims | undefined,
  ): Promise<JsonObject> {
    const { userinfoEndpoint } = metadata
    try {
      const response = await this.#deps.fetch(userinfoEndpoint ?? '', {
        headers: { Authorization: `Bearer ${accessToken}`, Accept: 'application/json, application/jwt' },
      })
      if (response.status !== 200) throw new Error(`The answer has status ${response.status}`)
      const isToken = response.headers.get('content-type')?.startsWith('application/jwt') === true
      const claims: unknown = isToken
        ? await this.#readSignedUserinfo(await response.text(), metadata)
        : await response.json()
      if (!isJsonObject(claims)) throw new Error('The answer is no JSON object')
      // https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse
      if (idToken !== undefined && claims['sub'] !== idToken.sub) {
        throw new Error('The answer is about somebody else than the ID token')
      }
      return claims
    } catch (err) {
      this.#deps.logger.warn(
        { problem: explain(err), provider: this.id },
        'An identity provider does not say who somebody is',
      )
      if (isNetworkFailure(err)) throw unavailable(this.name)
      throw new SignOnFailure('fetch_error', 'The service does not say who you are')
    }
  }

  async #readSignedUserinfo(token: string, metadata: OidcMetadata): Promise<unknown> {
    const { claims } = await this.tokens.verify(token, metadata, {
      issuer: metadata.issuer,
      audience: this.config.clientId,
    })
    return claims
  }

  /** Sessions that end at the provider are found by `sub`. */
  async #checkMapping(): Promise<void> {
    const { isServed, ignoresSubject } = this.config.logout
    if (!isServed || ignoresSubject) return
    const subject = await this.#mapping.subjectOf({ sub: 'subject' }).catch(() => undefined)
    if (subject === 'subject') return
    this.#deps.logger.warn(
      { provider: this.id },
      'backchannel_logout_enabled without a subject_template that gives sub: set backchannel_logout_ignore_sub',
    )
  }
}

/** Whether a page of the provider's may send the answer: of a client that may ask for it nobody knows before. */
function mayAnswerByPost({
  endpoints,
  additionalParameters,
  passthroughParameters,
}: OidcProviderConfig): boolean {
  const { authorization } = endpoints
  // Apple's has it in the address.
  const inUrl = authorization && new URL(authorization).searchParams.get('response_mode')
  return (
    [inUrl, additionalParameters['response_mode']].includes('form_post') ||
    passthroughParameters.includes('response_mode')
  )
}

/** What has gone wrong, and because of what. */
function explain(error: unknown): string {
  const reasons: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) reasons.push(at.message)
  return reasons.join(': ').slice(0, MAX_SHOWN)
}

function isNetworkFailure(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof HttpFailure) return true
  return false
}

function unavailable(name: string): SignOnFailure {
  return new SignOnFailure('provider_unavailable', `${name} cannot be reached at present`, 503)
}

function invalidToken(reason = 'The service does not say who you are'): SignOnFailure {
  return new SignOnFailure('invalid_token', reason)
}
