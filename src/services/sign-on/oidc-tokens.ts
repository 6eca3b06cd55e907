import { createHash, timingSafeEqual } from 'node:crypto'
import type { JWTPayload, JWTVerifyOptions, RemoteJWKSet } from 'jose'
import type { Clock } from '../../util/clock.js'
import type { OidcFetch } from './oidc-fetch.js'
import type { OidcMetadata } from './oidc-metadata.js'

/** A token is not what it should be. The message says why; what is in the token is not in it. */
export class OidcTokenError extends Error {
  override readonly name = 'OidcTokenError'
}

/** What an ID token says of somebody, and what else it says. */
export type IdTokenClaims = JWTPayload & { readonly sub: string }

export interface IdTokenChecks {
  readonly clientId: string
  readonly nonce: string
  /** Whose use the token has to allow (`at_hash`); undefined: it is not used. */
  readonly accessToken: string | undefined
}

/** How far the clocks of both sides may be apart. */
const CLOCK_SKEW_S = 120

/**
 * Reads tokens that a provider has signed, with the keys that it publishes: they are fetched when the first token comes,
 * and again for one that is signed with another key, twice a minute at most.
 */
export class OidcTokens {
  readonly #fetch: OidcFetch
  readonly #clock: Pick<Clock, 'now'>
  #keys: { readonly url: string; readonly set: RemoteJWKSet } | undefined

  constructor(parts: { readonly fetch: OidcFetch; readonly clock: Pick<Clock, 'now'> }) {
    this.#fetch = parts.fetch
    this.#clock = parts.clock
  }

  /**
   * The claims of an ID token. Rejects with an `OidcTokenError`, or what kept the keys from being fetched.
   * https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
   */
  async readIdToken(token: string, metadata: OidcMetadata, checks: IdTokenChecks): Promise<IdTokenClaims> {
    const { clientId, nonce, accessToken } = checks
    const { claims, algorithm } = await this.verify(token, metadata, {
      issuer: metadata.issuer,
      audience: clientId,
      requiredClaims: ['sub', 'iat', 'exp'],
    })
    if (typeof claims.sub !== 'string' || claims.sub === '') throw new OidcTokenError('it has no subject')
    if (claims['nonce'] !== nonce) throw new OidcTokenError('its nonce is not that of this sign-on')
    const party = claims['azp']
    const isForSeveral = Array.isArray(claims.aud) && claims.aud.length > 1
    if ((party !== undefined || isForSeveral) && party !== clientId) {
      throw new OidcTokenError('it is meant for another client')
    }
    const hash = claims['at_hash']
    if (accessToken !== undefined && hash !== undefined && !isHashOf(hash, accessToken, algorithm)) {
      throw new OidcTokenError('it belongs to another access token')
    }
    return { ...claims, sub: claims.sub }
  }

  /** The claims of any token of the provider's. `expected`: what is compared. Rejects as `readIdToken`. */
  async verify(
    token: string,
    metadata: Pick<OidcMetadata, 'jwksUri' | 'signatureAlgorithms'>,
    expected: Pick<JWTVerifyOptions, 'issuer' | 'audience' | 'requiredClaims' | 'maxTokenAge'>,
  ): Promise<{ claims: JWTPayload; algorithm: string }> {
    const { jwtVerify, errors } = await import('jose')
    const keys = await this.#keysOf(metadata)
    const now = this.#clock.now()
    try {
      const { payload: claims, protectedHeader } = await jwtVerify(token, keys, {
        ...expected,
        algorithms: [...metadata.signatureAlgorithms],
        clockTolerance: CLOCK_SKEW_S,
        currentDate: new Date(now),
      })
      if (claims.iat !== undefined && claims.iat > now / 1000 + CLOCK_SKEW_S) {
        throw new OidcTokenError('it was issued in the future')
      }
      return { claims, algorithm: protectedHeader.alg }
    } catch (error) {
      if (!(error instanceof errors.JOSEError)) throw error
      throw new OidcTokenError(error.message, { cause: error })
    }
  }

  /** Fetches the provider's keys. Rejects with an `OidcTokenError`. */
  async loadKeys(metadata: Pick<OidcMetadata, 'jwksUri'>): Promise<void> {
    const keys = await this.#keysOf(metadata)
    try {
      await keys.reload()
    } catch (error) {
      throw new OidcTokenError(`${metadata.jwksUri} cannot be read: ${(error as Error).message}`, {
        cause: error,
      })
    }
  }

  async #keysOf({ jwksUri }: Pick<OidcMetadata, 'jwksUri'>): Promise<RemoteJWKSet> {
    if (jwksUri === undefined) throw new OidcTokenError('the provider publishes no keys')
    if (this.#keys?.url !== jwksUri) {
      const { createRemoteJWKSet, customFetch } = await import('jose')
      const set = createRemoteJWKSet(new URL(jwksUri), {
        timeoutDuration: 20_000,
        [customFetch]: this.#fetch,
      })
      this.#keys = { url: jwksUri, set }
    }
    return this.#keys.set
  }
}

/** https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken */
function isHashOf(hash: unknown, accessToken: string, algorithm: string): boolean {
  if (typeof hash !== 'string') return false
  const bits = /\d+$/.exec(algorithm)?.[0]
  const digest = createHash(bits === '256' || bits === '384' ? `sha${bits}` : 'sha512')
    .update(accessToken)
    .digest()
  const expected = digest.subarray(0, digest.length / 2)
  const given = Buffer.from(hash, 'base64url')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
