import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject, JsonValue } from '../../src/util/json.js'
import { MatrixClient } from './matrix-client.js'

/** A request that a server has sent to the service. */
export interface ServiceRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly authorization: string | undefined
  readonly body: JsonObject
}

export interface ServiceAnswer {
  readonly status: number
  readonly body?: JsonValue
}

const TIMEOUT_MS = 8_000

/** An application service on a free port of this machine, with its registration file. */
export class FakeAppservice implements AsyncDisposable {
  readonly requests: ServiceRequest[] = []
  /** Answers by method and path; 200 with `{}` for transactions and pings, 404 for the rest where it gives nothing. */
  onRequest: (request: ServiceRequest) => Promise<ServiceAnswer | undefined> | ServiceAnswer | undefined =
    () => undefined
  readonly registration: JsonObject
  readonly file: string
  readonly #server: Server
  readonly #directory: string
  #waiting: (() => void)[] = []

  private constructor(server: Server, fields: JsonObject) {
    this.#server = server
    const { port } = server.address() as AddressInfo
    this.registration = {
      id: 'bridge',
      url: `http://127.0.0.1:${port}`,
      as_token: 'token_of_the_service',
      hs_token: 'token_of_the_server',
      sender_localpart: 'bridge_bot',
      rate_limited: false,
      protocols: [],
      namespaces: {
        users: [{ exclusive: true, regex: '@_bridge_.*' }],
        aliases: [{ exclusive: true, regex: '#_bridge_.*' }],
        rooms: [],
      },
      ...fields,
    }
    this.#directory = mkdtempSync(join(tmpdir(), 'mxhs-appservice-'))
    this.file = join(this.#directory, 'registration.yaml')
    // JSON is YAML.
    writeFileSync(this.file, JSON.stringify(this.registration))
  }

  static async start(fields: JsonObject = {}): Promise<FakeAppservice> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const service = new FakeAppservice(server, fields)
    server.on('request', (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const url = new URL(request.url ?? '/', 'http://service')
        const text = Buffer.concat(chunks).toString()
        const received = {
          method: request.method ?? '',
          path: decodeURIComponent(url.pathname),
          query: url.searchParams,
          authorization: request.headers.authorization,
          body: (text === '' ? {} : JSON.parse(text)) as JsonObject,
        }
        void service.#answer(received).then(({ status, body }) => {
          response.writeHead(status, { 'Content-Type': 'application/json' })
          response.end(JSON.stringify(body ?? {}))
        })
      })
    })
    return service
  }

  /** A client that acts as the service's user, or as another of its users. */
  client(serverUrl: string, userId = ''): ServiceClient {
    return new ServiceClient(serverUrl, this.registration['as_token'] as string, userId)
  }

  /** The transactions that were answered with 200, or that came at all, in order. */
  get transactions(): ServiceRequest[] {
    return this.requests.filter(({ path }) => path.includes('/transactions/'))
  }

  /** Everything in one list of all transactions. */
  received(key = 'events'): JsonObject[] {
    return this.transactions.flatMap(({ body }) => (body[key] ?? []) as JsonObject[])
  }

  /** Resolves when something has come that passes the check. */
  async waitFor<T>(check: () => T | undefined): Promise<T> {
    const deadline = Date.now() + TIMEOUT_MS
    for (;;) {
      const found = check()
      if (found !== undefined) return found
      const left = deadline - Date.now()
      if (left <= 0)
        throw new Error(`What was waited for has not come: ${JSON.stringify(this.requests).slice(-2000)}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#waiting.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  /** Resolves when an event has come that passes the check. */
  waitForEvent(check: (event: JsonObject) => boolean, key = 'events'): Promise<JsonObject> {
    return this.waitFor(() => this.received(key).find(check))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #answer(request: ServiceRequest): Promise<ServiceAnswer> {
    this.requests.push(request)
    const answer = await this.onRequest(request)
    for (const wake of this.#waiting.splice(0)) wake()
    if (answer !== undefined) return answer
    const isKnown = request.path.includes('/transactions/') || request.path.endsWith('/ping')
    return isKnown ? { status: 200 } : { status: 404, body: { errcode: 'M_NOT_FOUND' } }
  }
}

/** A client that asserts an identity with each request. */
export class ServiceClient extends MatrixClient {
  readonly #asUserId: string

  constructor(url: string, asToken: string, asUserId: string) {
    super(url, { userId: asUserId, deviceId: '', accessToken: asToken })
    this.#asUserId = asUserId
  }

  override request(...args: Parameters<MatrixClient['request']>): ReturnType<MatrixClient['request']> {
    const [method, target, options = {}] = args
    const query = this.#asUserId === '' ? options.query : { user_id: this.#asUserId, ...options.query }
    return super.request(method, target, query === undefined ? options : { ...options, query })
  }

  /** Registers a user of the service's. */
  async registerGhost(username: string): Promise<void> {
    const body = { type: 'm.login.application_service', username, inhibit_login: true }
    await this.must('POST', '/_matrix/client/v3/register', { body })
  }
}
