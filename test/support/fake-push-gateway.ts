import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { JsonObject } from '../../src/util/json.js'

/** What the gateway answers: a status and a body. */
export interface GatewayAnswer {
  readonly status: number
  readonly body?: JsonObject
}

const TIMEOUT_MS = 8_000

/** A push gateway on a free port of this machine that remembers what it is told. */
export class FakePushGateway implements AsyncDisposable {
  /** The `notification` of each request, in order. */
  readonly notifications: JsonObject[] = []
  /** The next requests are answered so, before `answer`. */
  readonly script: GatewayAnswer[] = []
  answer: GatewayAnswer = { status: 200, body: { rejected: [] } }
  readonly #server: Server
  #waiting: (() => void)[] = []

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<FakePushGateway> {
    const server = createServer()
    const gateway = new FakePushGateway(server)
    server.on('request', (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { notification } = JSON.parse(Buffer.concat(chunks).toString()) as { notification: JsonObject }
        gateway.notifications.push(notification)
        const { status, body } = gateway.script.shift() ?? gateway.answer
        response.writeHead(status, { 'Content-Type': 'application/json' })
        response.end(JSON.stringify(body ?? {}))
        for (const wake of gateway.#waiting.splice(0)) wake()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return gateway
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/_matrix/push/v1/notify`
  }

  /** Resolves when so many requests have come since the start; gives all. */
  async waitFor(count: number): Promise<JsonObject[]> {
    const deadline = Date.now() + TIMEOUT_MS
    while (this.notifications.length < count) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`${this.notifications.length} of ${count} notifications have come`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#waiting.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    return this.notifications
  }

  /** The pusher of a client that leads here. */
  pusher(fields: JsonObject = {}): JsonObject {
    const { data, ...others } = fields
    return {
      app_id: 'org.example.app',
      pushkey: 'a key',
      kind: 'http',
      app_display_name: 'An app',
      device_display_name: 'A device',
      lang: 'en',
      data: { url: this.url, ...(data as JsonObject | undefined) },
      ...others,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
