import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { exportJWK, SignJWT } from 'jose'
import { OidcProvider } from '../../src/services/sign-on/oidc-provider.js'
import type { BeginContext } from '../../src/services/sign-on/identity-provider.js'
import type { JsonObject } from '../../src/util/json.js'
import { testConfig } from './homeserver.js'
import { ManualClock } from './manual-clock.js'

const ISSUER = 'https://club.test'
/** Making them takes longer than all else. */
const KEYS = generateKeyPairSync('rsa', { modulusLength: 2048 })
const CONTEXT: BeginContext = {
  purpose: { kind: 'login', redirectUrl: 'https://app.test/' },
  query: new Map(),
}

interface Sent {
  readonly url: string
  readonly headers: Headers
  readonly body: URLSearchParams
}

/** A client of OpenID Connect, and a provider that answers whatever a test says. */
export class OidcClientFixture {
  readonly clock = new ManualClock()
  readonly key: KeyObject
  readonly publicKey: KeyObject
  readonly provider: OidcProvider
  /** What is logged as going wrong. */
  readonly problems: unknown[] = []
  readonly sent: Sent[] = []
  /** Answers by URL; anything else cannot be reached. */
  readonly answers = new Map<string, () => Response | Promise<Response>>()
  nonce = ''

  constructor(settings: JsonObject = {}) {
    this.key = KEYS.privateKey
    this.publicKey = KEYS.publicKey
    const oidc_providers = [
      {
        idp_id: 'club',
        idp_name: 'The Club',
        issuer: ISSUER,
        client_id: 'mxhs',
        client_secret: 'secret',
        user_mapping_provider: { config: { localpart_template: '{{ user.name }}' } },
        ...settings,
      },
    ]
    const note = (facts: unknown): void => void this.problems.push(facts)
    this.provider = new OidcProvider({
      config: testConfig({ oidc_providers }).oidc.providers[0]!,
      fetch: (url, options) => this.#answer(url, options),
      clock: this.clock,
      logger: { info: () => undefined, warn: note, error: note },
      callbackUrl: 'https://hs.test/callback',
    })
    this.describe({})
    this.show(`${ISSUER}/keys`, async () => ({
      keys: [{ ...(await exportJWK(this.publicKey)), kid: 'key', alg: 'RS256', use: 'sig' }],
    }))
  }

  /** What the provider says of itself, beside what every provider has to say. */
  describe(more: JsonObject): void {
    this.show(`${ISSUER}/.well-known/openid-configuration`, () => ({
      issuer: ISSUER,
      authorization_endpoint: `${ISSUER}/authorize`,
      token_endpoint: `${ISSUER}/token`,
      userinfo_endpoint: `${ISSUER}/userinfo`,
      jwks_uri: `${ISSUER}/keys`,
      response_types_supported: ['code'],
      ...more,
    }))
  }

  /** Answers with JSON. */
  show(url: string, json: () => JsonObject | Promise<unknown>): void {
    this.answers.set(url, async () => Response.json(await json()))
  }

  /** Sends somebody away; gives the parameters that go along, and what is remembered. */
  async begin(query: ReadonlyMap<string, string> = new Map()): Promise<{ url: URL; memory: JsonObject }> {
    const { url, memory } = await this.provider.begin('a state', { ...CONTEXT, query })
    this.nonce = memory['nonce'] as string
    return { url: new URL(url), memory }
  }

  /** The claims of a good ID token, changed by `more`; undefined leaves one out. */
  claims(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    const now = Math.floor(this.clock.now() / 1000)
    const good = {
      iss: ISSUER,
      aud: 'mxhs',
      sub: '17',
      nonce: this.nonce,
      iat: now,
      exp: now + 60,
      name: 'alice',
    }
    return JSON.parse(JSON.stringify({ ...good, ...more })) as Record<string, unknown>
  }

  async sign(
    claims: Readonly<Record<string, unknown>>,
    header: JsonObject = {},
    key: KeyObject | Uint8Array = this.key,
  ): Promise<string> {
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'key', ...header }).sign(key)
  }

  /** Somebody begins and comes back; the provider gives these for the code. */
  async signOn(
    tokens: (fixture: this) => JsonObject | Promise<JsonObject>,
    answer: Readonly<Record<string, string>> = {},
    kind: 'login' | 'confirm' = 'login',
  ) {
    const { memory } = await this.begin()
    const given = await tokens(this)
    this.show(`${ISSUER}/token`, () => ({ access_token: 'access', token_type: 'Bearer', ...given }))
    const purpose = kind === 'login' ? CONTEXT.purpose : ({ kind, sessionId: 'session' } as const)
    return this.provider.identify({ purpose, memory }, new Map(Object.entries({ code: 'code', ...answer })))
  }

  /** As `signOn`, with an ID token of these claims. */
  signOnWith(claims: Readonly<Record<string, unknown>> = {}, answer: Readonly<Record<string, string>> = {}) {
    return this.signOn(async () => ({ id_token: await this.sign(this.claims(claims)) }), answer)
  }

  async #answer(url: string, { headers, body }: { headers?: unknown; body?: unknown }): Promise<Response> {
    const text = body instanceof URLSearchParams || typeof body === 'string' ? body.toString() : ''
    this.sent.push({ url, headers: new Headers(headers as Headers), body: new URLSearchParams(text) })
    const answer = this.answers.get(url)
    if (answer === undefined) throw new Error('nobody is there')
    return answer()
  }
}
