import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { Pool } from 'undici'
import type { ServerName } from '../../src/protocol/ids.js'
import { makeServerKeys } from '../../src/protocol/server-keys.js'
import type { JsonSigner } from '../../src/protocol/signed-json.js'
import { createSigner, makeSigningKey, type SigningKey } from '../../src/protocol/signing-keys.js'
import { formatXMatrix, requestText } from '../../src/protocol/x-matrix.js'
import type { JsonObject } from '../../src/util/json.js'
import type { TestCertificate } from '../../test/support/test-authority.js'

/** A request that a peer is asked to answer; the segments of the path are decoded. */
export interface PeerRequest {
  readonly method: string
  readonly segments: readonly string[]
  readonly query: URLSearchParams
  /** Empty for other methods than PUT and POST. */
  readonly body: string
}

/** Gives the JSON text of an answer; undefined for 404. */
export type PeerHandler = (request: PeerRequest) => string | undefined

const KEYS_VALID_MS = 24 * 60 * 60_000
/** From where the paths begin: `/_matrix/federation/v1/`. */
const PREFIX_SEGMENTS = 4

/** How a peer reaches the server that is measured. */
export interface PeerOptions {
  readonly certificate: TestCertificate
  /** Of the authority that the server's certificate is from. */
  readonly authority: string
}

/**
 * A scripted server on a port of this machine: it publishes its key, takes every transaction, answers what its handler
 * knows, and sends signed requests.
 */
export class Peer implements AsyncDisposable {
  readonly serverName: ServerName
  readonly signer: JsonSigner
  readonly #key: SigningKey
  readonly #server: Server
  readonly #options: PeerOptions
  readonly #pools = new Map<string, Pool>()
  #handler: PeerHandler | undefined
  #transactions = 0

  private constructor(server: Server, key: SigningKey, options: PeerOptions) {
    this.#server = server
    this.#options = options
    this.#key = key
    this.serverName = `127.0.0.1:${(server.address() as AddressInfo).port}` as ServerName
    this.signer = createSigner(this.serverName, key)
  }

  static async start(options: PeerOptions): Promise<Peer> {
    const { certificate, privateKey } = options.certificate
    const server = createServer({ cert: certificate, key: privateKey })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const peer = new Peer(server, makeSigningKey('bench', randomBytes(32)), options)
    server.on('request', (request, response) => void peer.#answer(request, response))
    return peer
  }

  /** Says how requests are answered from now on. */
  serve(handler: PeerHandler): void {
    this.#handler = handler
  }

  /** Sends a transaction and resolves with what the server says of its events. */
  async sendTransaction(
    to: ServerName,
    { pdus, edus = [] }: { readonly pdus: readonly JsonObject[]; readonly edus?: readonly JsonObject[] },
  ): Promise<Record<string, { error?: string }>> {
    const path = `/_matrix/federation/v1/send/bench${++this.#transactions}`
    const body = {
      origin: this.serverName,
      origin_server_ts: Date.now(),
      pdus: [...pdus],
      edus: [...edus],
    }
    const signed = { method: 'PUT', uri: path, origin: this.serverName, destination: to, content: body }
    const { keyId } = this.signer
    const response = await this.#poolTo(to).request({
      method: 'PUT',
      path,
      headers: {
        'content-type': 'application/json',
        authorization: formatXMatrix({
          origin: this.serverName,
          destination: to,
          keyId,
          signature: this.signer.sign(requestText(signed)),
        }),
      },
      body: JSON.stringify(body),
    })
    const answer = await response.body.text()
    if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode} ${answer}`)
    const results = (JSON.parse(answer) as { pdus: Record<string, { error?: string }> }).pdus
    const refused = Object.entries(results).find(([, { error }]) => error !== undefined)
    if (refused) throw new Error(`An event was refused: ${JSON.stringify(refused)}`)
    return results
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()))
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #poolTo(to: ServerName): Pool {
    let pool = this.#pools.get(to)
    if (pool === undefined) {
      const connect = { ca: this.#options.authority }
      pool = new Pool(`https://${to}`, { connections: 2, connect, headersTimeout: 120_000 })
      this.#pools.set(to, pool)
    }
    return pool
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#respond(request)
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(answer ?? '{"errcode":"M_NOT_FOUND","error":"Not found"}')
  }

  async #respond(request: IncomingMessage): Promise<string | undefined> {
    const url = new URL(request.url ?? '/', 'https://peer')
    const { method = 'GET' } = request
    if (url.pathname === '/_matrix/key/v2/server') return this.#keyDocument()
    if (url.pathname.startsWith('/_matrix/federation/v1/send/')) {
      await buffer(request)
      return '{"pdus":{}}'
    }
    const body = method === 'PUT' || method === 'POST' ? await text(request) : ''
    const segments = url.pathname.split('/').slice(PREFIX_SEGMENTS).map(decodeURIComponent)
    return this.#handler?.({ method, segments, query: url.searchParams, body })
  }

  #keyDocument(): string {
    const keys = { current: [this.#key], old: [] }
    return JSON.stringify(makeServerKeys(this.serverName, keys, Date.now() + KEYS_VALID_MS))
  }
}
