import { createHash } from 'node:crypto'
import { isJsonObject, type JsonObject } from '../../src/util/json.js'
import type { TestFederation } from './federation.js'
import type { FakeAnswer, FakeHomeserver, ReceivedRequest } from './fake-homeserver.js'

const API = '/_matrix/identity/v2'
const PEPPER = 'a pepper'
export const IDENTITY_TOKEN = 'an identity token'

/** An identity server over TLS that knows what the test says. */
export class FakeIdentityServer {
  /** User IDs by `address medium`. */
  readonly users = new Map<string, string>()
  /** Answers instead of the usual ones, by path. */
  readonly answers = new Map<string, { status: number; json: JsonObject | string }>()
  readonly server: FakeHomeserver
  isKeyValid = true
  #tokens = 0

  private constructor(server: FakeHomeserver) {
    this.server = server
    const rules: [string, string, (request: ReceivedRequest) => JsonObject][] = [
      ['GET', '/hash_details', () => ({ lookup_pepper: PEPPER, algorithms: ['none', 'sha256'] })],
      ['POST', '/lookup', ({ body }) => ({ mappings: this.#lookUp(body) })],
      ['POST', '/store-invite', () => this.#store()],
      [
        'POST',
        '/3pid/bind',
        ({ body }) => ({ ...(body as JsonObject), medium: 'email', address: 'a@b.test' }),
      ],
      ['POST', '/3pid/unbind', () => ({})],
      ['GET', '/pubkey/isvalid', () => ({ valid: this.isKeyValid })],
    ]
    for (const [method, path, answer] of rules)
      server.on(method, API + path, (request) => this.#answer(path, request, answer))
  }

  static async start(servers: TestFederation, name = 'id.test'): Promise<FakeIdentityServer> {
    return new FakeIdentityServer(await servers.fake(name))
  }

  /** As clients name it. */
  get name(): string {
    return `${this.server.serverName}:${this.server.port}`
  }

  get publicKey(): string {
    return this.server.signingKey.key.verifyKey.base64
  }

  received(method: string, path: string): ReceivedRequest[] {
    return this.server.received(method, API + path)
  }

  #answer(
    path: string,
    request: ReceivedRequest,
    answer: (request: ReceivedRequest) => JsonObject,
  ): FakeAnswer {
    const { headers } = request
    const told = this.answers.get(path)
    if (typeof told?.json === 'string') {
      const { status, json: text } = told
      return {
        raw: (response) => {
          response.writeHead(status).end(text)
        },
      }
    }
    if (told !== undefined) return { status: told.status, json: told.json }
    const isOpen = path === '/pubkey/isvalid' || path === '/3pid/unbind'
    if (!isOpen && headers.authorization !== `Bearer ${IDENTITY_TOKEN}`)
      return { status: 401, json: { errcode: 'M_UNAUTHORIZED', error: 'Unknown token' } }
    return { json: answer(request) }
  }

  #lookUp(body: unknown): JsonObject {
    if (!isJsonObject(body) || body['pepper'] !== PEPPER || body['algorithm'] !== 'sha256') return {}
    const known = [...this.users].map(([plain, userId]) => [hashOf(plain), userId] as const)
    const asked = body['addresses'] as string[]
    return Object.fromEntries(known.filter(([hash]) => asked.includes(hash)))
  }

  #store(): JsonObject {
    const url = `https://${this.name}${API}/pubkey/isvalid`
    return {
      token: `token${++this.#tokens}`,
      display_name: 'b...@b...',
      public_keys: [{ public_key: this.publicKey, key_validity_url: url }],
    }
  }
}

function hashOf(plain: string): string {
  return createHash('sha256').update(`${plain} ${PEPPER}`).digest('base64url')
}
