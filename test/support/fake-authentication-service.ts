import type { IncomingMessage, RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import { startHttpServer, type HttpServer } from './http-servers.js'

export const SERVICE_SECRET = 'the-secret-of-both'
export const API_SCOPE = 'urn:matrix:client:api:*'
export const DEVICE_SCOPE = 'urn:matrix:client:device:'
export const ADMIN_SCOPE = 'urn:synapse:admin:*'

/** What the service has been asked about a token. */
export interface Introspection {
  readonly token: string
  readonly headers: IncomingMessage['headers']
}

/**
 * A Matrix Authentication Service, as far as a homeserver calls it: token introspection and metadata, with the answers of
 * the real one. It knows the tokens that a test gives it.
 */
export class FakeAuthenticationService implements AsyncDisposable {
  /** What is said of tokens beside `active: true`. */
  readonly tokens = new Map<string, Readonly<Record<string, unknown>>>()
  readonly introspections: Introspection[] = []
  /** How often the metadata has been fetched. */
  metadataFetches = 0
  /** Answers instead of the usual ones, by path. */
  readonly answers = new Map<string, RequestListener>()
  /** Called before a token is answered for. */
  beforeAnswer: (token: string) => Promise<void> = () => Promise.resolve()
  readonly #server: HttpServer

  private constructor(server: HttpServer) {
    this.#server = server
  }

  static async start(): Promise<FakeAuthenticationService> {
    const started: { service?: FakeAuthenticationService } = {}
    const server = await startHttpServer((request, response) => {
      void started.service?.answer(request, response)
    })
    started.service = new FakeAuthenticationService(server)
    return started.service
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/`
  }

  /** The keys of a homeserver.yaml whose server delegates to it. */
  get config(): Readonly<Record<string, unknown>> {
    return {
      matrix_authentication_service: { enabled: true, endpoint: this.url, secret: SERVICE_SECRET },
      enable_registration: false,
      enable_3pid_changes: false,
      password_config: { enabled: false },
      public_baseurl: 'https://hs.test/',
    }
  }

  /** A token of OAuth 2.0, whose device is in its scope. */
  issue(username: string, deviceId?: string, ...scopes: readonly string[]): string {
    const token = `mat_${username}_${this.tokens.size}`
    const device = deviceId === undefined ? [] : [`${DEVICE_SCOPE}${deviceId}`]
    const scope = [API_SCOPE, ...device, ...scopes].join(' ')
    this.tokens.set(token, { username, scope, sub: `sub of ${username}`, expires_in: 300 })
    return token
  }

  get metadata(): Readonly<Record<string, unknown>> {
    return {
      issuer: 'https://auth.test/',
      authorization_endpoint: 'https://auth.test/authorize',
      token_endpoint: 'https://auth.test/oauth2/token',
      revocation_endpoint: 'https://auth.test/oauth2/revoke',
      registration_endpoint: 'https://auth.test/oauth2/registration',
      response_types_supported: ['code'],
      response_modes_supported: ['query', 'fragment'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      code_challenge_methods_supported: ['S256'],
      account_management_uri: 'https://auth.test/account/',
      account_management_actions_supported: ['org.matrix.cross_signing_reset'],
    }
  }

  async answer(...[request, response]: Parameters<RequestListener>): Promise<void> {
    const path = request.url ?? ''
    const other = this.answers.get(path)
    if (other !== undefined) {
      other(request, response)
      return
    }
    const say = (status: number, json: unknown): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(json))
    }
    if (path === '/.well-known/openid-configuration' && request.method === 'GET') {
      this.metadataFetches += 1
      say(200, this.metadata)
    } else if (path === '/oauth2/introspect' && request.method === 'POST') {
      const form = new URLSearchParams(await text(request))
      if (request.headers.authorization !== `Bearer ${SERVICE_SECRET}`) {
        say(401, { error: 'access_denied' })
        return
      }
      if (request.headers['content-type'] !== 'application/x-www-form-urlencoded') {
        say(400, { error: 'invalid_request' })
        return
      }
      const token = form.get('token') ?? ''
      this.introspections.push({ token, headers: request.headers })
      await this.beforeAnswer(token)
      const known = form.get('token_type_hint') === 'access_token' ? this.tokens.get(token) : undefined
      say(200, known === undefined ? { active: false } : { active: true, ...known })
    } else {
      say(404, { error: 'not found' })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }
}
