import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request as httpsRequest, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ServerName } from '../../src/protocol/ids.js'
import { makeServerKeys } from '../../src/protocol/server-keys.js'
import type { JsonSigner } from '../../src/protocol/signed-json.js'
import { createSigner, makeSigningKey, type SigningKey } from '../../src/protocol/signing-keys.js'
import { formatXMatrix, parseXMatrix, requestText } from '../../src/protocol/x-matrix.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/util/json.js'
import { checkFederationResponse } from './response-schemas.js'
import type { TestAuthority } from './test-authority.js'
import type { TestNetwork } from './test-network.js'

/** A request that a fake server has got. */
export interface ReceivedRequest {
  readonly method: string
  /** Decoded segment by segment only in `params`. */
  readonly path: string
  readonly query: URLSearchParams
  /** Of the pattern that it matched. */
  readonly params: Readonly<Record<string, string>>
  /** Whom it says it is from. */
  readonly origin: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: JsonValue | undefined
}

/** JSON, or whatever the test does with the response. */
export type FakeAnswer =
  | {
      readonly status?: number
      readonly json: JsonValue
      readonly headers?: Readonly<Record<string, string>>
    }
  | { readonly raw: (response: ServerResponse) => void }

export type FakeHandler = (request: ReceivedRequest) => FakeAnswer | Promise<FakeAnswer>

/** What a server answers to a fake one. */
export interface FakeReply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  readonly json: JsonObject
}

export interface FakeRequest {
  readonly method?: 'GET' | 'PUT' | 'POST'
  /** With the query. */
  readonly path: string
  readonly body?: JsonValue
  /** The body as text, for what `JSON.stringify` would not write. */
  readonly rawBody?: string
  /** Signs as this server, with this key; by default as itself. */
  readonly signer?: JsonSigner
  /** The header as a whole, in place of a good one; `null` for none. */
  readonly authorization?: string | readonly string[] | null
}

export interface FakeHomeserverOptions {
  readonly authority: TestAuthority
  readonly network: TestNetwork
  /** Names of the certificate; by default the server's own. */
  readonly certificateNames?: readonly string[]
  /** The version of the signing key; `fake` by default. */
  readonly keyVersion?: string
}

interface Rule {
  readonly method: string
  readonly pattern: RegExp
  readonly names: readonly string[]
  readonly handler: FakeHandler
}

/**
 * A server of another make, which does what the test says: it signs with a key of its own, publishes it, takes
 * transactions, and answers everything else with 404 unless it is told what to do.
 */
export class FakeHomeserver implements AsyncDisposable {
  readonly serverName: ServerName
  readonly signingKey: SigningKey
  readonly signer: JsonSigner
  /** All that came, in order. */
  readonly requests: ReceivedRequest[] = []
  readonly #options: FakeHomeserverOptions
  readonly #server: Server
  readonly #rules: Rule[] = []
  readonly #waiting = new Set<() => void>()
  #transactions = 0

  private constructor(
    serverName: ServerName,
    options: FakeHomeserverOptions,
    parts: { signingKey: SigningKey; server: Server },
  ) {
    this.serverName = serverName
    this.signingKey = parts.signingKey
    this.signer = createSigner(serverName, parts.signingKey)
    this.#options = options
    this.#server = parts.server
    this.on('GET', '/_matrix/key/v2/server', () => ({ json: this.keyDocument() }))
    this.on('GET', '/_matrix/federation/v1/version', () => ({
      json: { server: { name: 'Fake', version: '1' } },
    }))
    this.on('PUT', '/_matrix/federation/v1/send/:txnId', () => ({ json: { pdus: {} } }))
  }

  static async start(name: string, options: FakeHomeserverOptions): Promise<FakeHomeserver> {
    const { authority, network, certificateNames, keyVersion } = options
    const { certificate, privateKey } = authority.issue(certificateNames ?? [name])
    const server = createServer({ cert: certificate, key: privateKey })
    const seed = createHash('sha256')
      .update(`${name} ${keyVersion ?? ''}`)
      .digest()
    const signingKey = makeSigningKey(keyVersion ?? 'fake', seed)
    const fake = new FakeHomeserver(name as ServerName, options, { signingKey, server })
    server.on('request', (request, response) => void fake.#answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    network.add(name, () => fake.port)
    return fake
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** What it publishes of its keys. */
  keyDocument(validUntilTs = Date.now() + 24 * 60 * 60_000): JsonObject {
    return makeServerKeys(this.serverName, { current: [this.signingKey], old: [] }, validUntilTs)
  }

  /**
   * Says how requests are answered from now on; what was said last comes first. `path` is without the query, with
   * `:names` for segments.
   */
  on(method: string, path: string, handler: FakeHandler): void {
    const names = [...path.matchAll(/:(\w+)/g)].map((match) => match[1]!)
    this.#rules.unshift({ method, pattern: toPattern(path), names, handler })
  }

  /** All requests that came to a path so far. */
  received(method: string, path: string): ReceivedRequest[] {
    const pattern = toPattern(path)
    return this.requests.filter((request) => request.method === method && pattern.test(request.path))
  }

  /** The first request to a path for which `condition` holds, which may have come already. */
  async waitFor(
    method: string,
    path: string,
    condition: (request: ReceivedRequest) => boolean = () => true,
  ): Promise<ReceivedRequest> {
    for (;;) {
      const found = this.received(method, path).find(condition)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  /** All PDUs of the transactions that came so far. */
  get pdus(): JsonObject[] {
    return this.#sent('pdus')
  }

  /** All EDUs of the transactions that came so far. */
  get edus(): JsonObject[] {
    return this.#sent('edus')
  }

  /** Waits until a PDU has come for which `condition` holds. */
  async waitForPdu(condition: (pdu: JsonObject) => boolean): Promise<JsonObject> {
    await this.waitFor('PUT', SEND, () => this.pdus.some(condition))
    return this.pdus.find(condition)!
  }

  /** Waits until an EDU has come for which `condition` holds. */
  async waitForEdu(condition: (edu: JsonObject) => boolean): Promise<JsonObject> {
    await this.waitFor('PUT', SEND, () => this.edus.some(condition))
    return this.edus.find(condition)!
  }

  /** Sends a signed request to another server of the network. */
  async send(to: string, { method = 'GET', path, body, ...options }: FakeRequest): Promise<FakeReply> {
    const signer = options.signer ?? this.signer
    const signature = signer.sign(
      requestText({ method, uri: path, origin: signer.serverName, destination: to, content: body }),
    )
    const header = formatXMatrix({
      origin: signer.serverName,
      destination: to,
      keyId: signer.keyId,
      signature,
    })
    const authorization = options.authorization === undefined ? header : options.authorization
    const request = httpsRequest({
      host: '127.0.0.1',
      port: await this.#options.network.portBetween(this.serverName, to),
      servername: to,
      ca: this.#options.authority.certificate,
      method,
      path,
      headers: {
        Host: to,
        ...(authorization === null ? {} : { Authorization: authorization as string }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      agent: false,
    })
    request.end(options.rawBody ?? (body === undefined ? undefined : JSON.stringify(body)))
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const text = await readText(response)
    const json = parse(text)
    const status = response.statusCode ?? 0
    // Every answer must have the shape that the specification says: no test has to look at that.
    checkFederationResponse({
      method,
      path: new URL(path, 'https://server').pathname,
      status,
      contentType: response.headers['content-type'] ?? null,
      text,
    })
    return {
      status,
      headers: response.headers,
      text,
      json: isJsonObject(json) ? json : {},
    }
  }

  /** Sends a transaction. */
  sendTransaction(
    to: string,
    content: { readonly pdus?: readonly JsonObject[]; readonly edus?: readonly JsonObject[]; txnId?: string },
  ): Promise<FakeReply> {
    const { pdus = [], edus = [], txnId = `txn${++this.#transactions}` } = content
    const body = {
      origin: this.serverName,
      origin_server_ts: Date.now(),
      pdus: [...pdus],
      edus: [...edus],
    }
    return this.send(to, { method: 'PUT', path: `/_matrix/federation/v1/send/${txnId}`, body })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  #sent(kind: 'pdus' | 'edus'): JsonObject[] {
    return this.received('PUT', SEND).flatMap(({ body }) => {
      const list = isJsonObject(body) ? body[kind] : undefined
      return Array.isArray(list) ? list.filter(isJsonObject) : []
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://fake')
    const text = await readText(request)
    const rule = this.#rules.find(
      ({ method, pattern }) => method === request.method && pattern.test(url.pathname),
    )
    const values = rule?.pattern.exec(url.pathname)?.slice(1) ?? []
    const received: ReceivedRequest = {
      method: request.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      params: Object.fromEntries(
        (rule?.names ?? []).map((name, index) => [name, decodeURIComponent(values[index] ?? '')]),
      ),
      origin: parseXMatrix(request.headers.authorization ?? '')?.origin,
      headers: request.headers,
      body: text === '' ? undefined : (parse(text) as JsonValue),
    }
    const answer: FakeAnswer =
      rule === undefined
        ? { status: 404, json: { errcode: 'M_UNRECOGNIZED', error: 'Unrecognized request' } }
        : await rule.handler(received)
    this.requests.push(received)
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
    if ('raw' in answer) {
      answer.raw(response)
      return
    }
    response.writeHead(answer.status ?? 200, { 'Content-Type': 'application/json', ...answer.headers })
    response.end(JSON.stringify(answer.json))
  }
}

const SEND = '/_matrix/federation/v1/send/:txnId'

/** Of a path with `:names`, each of which is a segment. */
function toPattern(path: string): RegExp {
  const source = path
    .split('/')
    .map((part) => (part.startsWith(':') ? '([^/]*)' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
    .join('/')
  return new RegExp(`^${source}$`)
}

async function readText(stream: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
