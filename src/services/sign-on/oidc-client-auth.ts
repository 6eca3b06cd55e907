import { createPrivateKey } from 'node:crypto'
import type { ClientAuth } from 'openid-client'
import type { OidcProviderConfig } from '../../config/sections/oidc.js'
import type { Clock } from '../../util/clock.js'

type ClientConfig = Pick<
  OidcProviderConfig,
  'clientAuthMethod' | 'clientId' | 'clientSecret' | 'clientSecretKey' | 'issuer'
>

const SIGNED_SECRET_LIFETIME_S = 60 * 60
/** What is left of it when another is made. */
const MIN_LEFT_S = 10 * 60

/** How this server proves to a provider which of its clients it is. https://www.rfc-editor.org/rfc/rfc6749#section-2.3 */
export class OidcClientAuth {
  readonly #config: ClientConfig
  readonly #clock: Pick<Clock, 'now'>
  #signed: { readonly secret: string; readonly expiryS: number } | undefined

  constructor(config: ClientConfig, clock: Pick<Clock, 'now'>) {
    this.#config = config
    this.#clock = clock
  }

  /** What puts the proof into a request. */
  async prepare(): Promise<ClientAuth> {
    const { clientId, clientAuthMethod } = this.#config
    const secret = await this.#secret()
    return (_server, _client, body, headers) => {
      if (clientAuthMethod === 'client_secret_basic' && secret !== undefined) {
        headers.set('Authorization', `Basic ${btoa(`${formEncode(clientId)}:${formEncode(secret)}`)}`)
        return
      }
      body.set('client_id', clientId)
      if (clientAuthMethod === 'client_secret_post' && secret !== undefined) body.set('client_secret', secret)
    }
  }

  async #secret(): Promise<string | undefined> {
    const { clientAuthMethod, clientSecret, clientSecretKey } = this.#config
    if (clientAuthMethod === 'none') return undefined
    if (clientSecretKey === undefined) return clientSecret
    const nowS = Math.floor(this.#clock.now() / 1000)
    if (this.#signed === undefined || nowS >= this.#signed.expiryS - MIN_LEFT_S) {
      this.#signed = await this.#sign(clientSecretKey, nowS)
    }
    return this.#signed.secret
  }

  /** A token that stands for a secret, as Apple wants it. https://www.rfc-editor.org/rfc/rfc7523#section-3 */
  async #sign(
    { key, header, payload }: NonNullable<ClientConfig['clientSecretKey']>,
    nowS: number,
  ): Promise<{ secret: string; expiryS: number }> {
    const { SignJWT } = await import('jose')
    const { clientId, issuer } = this.#config
    const expiryS = nowS + SIGNED_SECRET_LIFETIME_S
    const claims = { sub: clientId, aud: issuer, iat: nowS, exp: expiryS, ...payload }
    const secret = await new SignJWT(claims).setProtectedHeader(header).sign(createPrivateKey(key))
    return { secret, expiryS }
  }
}

/** https://www.rfc-editor.org/rfc/rfc6749#appendix-B: what needs no encoding has none, for those who do not decode it. */
function formEncode(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2)
}
