import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignJWT, type JWTPayload } from 'jose'
import Provider, { type ClientMetadata, type Configuration } from 'oidc-provider'
import type { JsonObject } from '../../src/util/json.js'

const SECRET = 'a secret of the client'
const KEY_ID = 'provider-key'
const CALLBACK = 'https://hs.test/_synapse/client/oidc/callback'
const LOGOUT = 'https://hs.test/_synapse/client/oidc/backchannel_logout'

/** Somebody at the provider: what it knows of them, by the names of claims. */
export type OidcPerson = JsonObject & { sub: string }

/** A provider of OpenID Connect on loopback, at which whoever comes is the person that the test says, without a word. */
export class OidcServer implements AsyncDisposable {
  readonly #server: Server
  readonly #key: KeyObject
  /** Who comes: `sub`, and what else is known of them. */
  person: OidcPerson = { sub: 'alice-17', preferred_username: 'alice' }
  /** Where the homeserver really is that it knows as `https://hs.test`. */
  homeserverUrl = ''
  /** Instead of what it would do, for paths that the test cares about: gives whether it has answered. */
  override: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** What has come, method and path, in order. */
  readonly requests: string[] = []
  /** Those that have been given out. */
  readonly idTokens: string[] = []

  private constructor(server: Server, key: KeyObject) {
    this.#server = server
    this.#key = key
  }

  static async start(client: Partial<ClientMetadata> = {}, more: Configuration = {}): Promise<OidcServer> {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const server = createServer()
    const oidc = new OidcServer(server, privateKey)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const provider = quietly(() => oidc.#createProvider(client, more))
    const callback = provider.callback()
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const path = new URL(request.url ?? '/', oidc.issuer).pathname
      oidc.requests.push(`${request.method ?? ''} ${path}`)
      if (oidc.override?.(request, response) === true) return
      if (path.startsWith('/interaction/')) void oidc.#signOn(provider, request, response)
      else void callback(request, response)
    })
    return oidc
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** How a homeserver is told of it. */
  config(more: JsonObject = {}): JsonObject {
    return {
      idp_id: 'club',
      idp_name: 'The Club',
      issuer: this.issuer,
      client_id: 'mxhs',
      client_secret: SECRET,
      // On loopback there is no https.
      skip_verification: true,
      scopes: ['openid', 'profile', 'email'],
      user_mapping_provider: { config: { localpart_template: '{{ user.preferred_username }}' } },
      ...more,
    }
  }

  /** A token as the provider signs it, with whatever it is to say. */
  async sign(claims: JWTPayload, header: JsonObject = {}, key: KeyObject = this.#key): Promise<string> {
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: KEY_ID, ...header }).sign(key)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #createProvider(client: Partial<ClientMetadata>, more: Configuration): Provider {
    const provider: Provider = new Provider(this.issuer, {
      clients: [
        {
          client_id: 'mxhs',
          client_secret: SECRET,
          redirect_uris: [CALLBACK],
          backchannel_logout_uri: LOGOUT,
          backchannel_logout_session_required: true,
          ...client,
        },
      ],
      jwks: {
        keys: [{ ...this.#key.export({ format: 'jwk' }), kid: KEY_ID, alg: 'RS256', use: 'sig' }],
      },
      cookies: { keys: ['a key of cookies'] },
      claims: {
        openid: ['sub', 'sid'],
        profile: ['preferred_username', 'name', 'picture', 'groups'],
        email: ['email'],
      },
      conformIdTokenClaims: false,
      features: {
        devInteractions: { enabled: false },
        backchannelLogout: { enabled: true },
        rpInitiatedLogout: {
          logoutSource(context, form) {
            context.body = form
          },
        },
      },
      findAccount: () => ({
        accountId: this.person.sub,
        claims: () => Promise.resolve({ ...this.person }),
      }),
      interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
      loadExistingGrant: async ({ oidc }) => {
        const grant = new provider.Grant({
          accountId: oidc.session!.accountId!,
          clientId: oidc.client!.clientId,
        })
        grant.addOIDCScope('openid profile email')
        await grant.save()
        return grant
      },
      fetch: (url, options) =>
        fetch(textOf(url).replace('https://hs.test', this.homeserverUrl), withoutAgent(options)),
      pkce: { required: () => false },
      // Which it would say on the console: defaults that are for tests.
      ttl: {
        AccessToken: 600,
        AuthorizationCode: 60,
        Grant: 600,
        IdToken: 600,
        Interaction: 600,
        Session: 600,
      },
      ...more,
    })
    provider.on('grant.success', ({ body }) => {
      const token = (body as JsonObject | undefined)?.['id_token']
      if (typeof token === 'string') this.idTokens.push(token)
    })
    return provider
  }

  async #signOn(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
    await provider.interactionFinished(request, response, {
      login: { accountId: this.person.sub },
    })
  }
}

function textOf(url: string | URL | Request): string {
  return url instanceof Request ? url.url : url.toString()
}

/** The provider's own agent refuses loopback. */
function withoutAgent({ method, headers, body }: RequestInit = {}): RequestInit {
  return { ...(method && { method }), ...(headers && { headers }), ...(body && { body }) }
}

/** Without a word on the console that what is in memory alone will be lost. */
function quietly<T>(run: () => T): T {
  const { warn } = console
  console.warn = () => undefined
  try {
    return run()
  } finally {
    console.warn = warn
  }
}
