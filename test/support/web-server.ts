import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface WebPage {
  readonly status?: number
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** Instead: whatever the test does with the response. */
  readonly raw?: (response: ServerResponse) => void
}

/** A web server on loopback that shows what it is told, and remembers who came. */
export class WebServer implements AsyncDisposable {
  readonly #server: Server
  readonly #pages = new Map<string, WebPage>()
  /** All that came, in order. */
  readonly requests: { readonly path: string; readonly headers: IncomingMessage['headers'] }[] = []

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<WebServer> {
    const server = createServer()
    const web = new WebServer(server)
    server.on('request', (request, response) => web.#answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return web
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** As in `http://127.0.0.1:12345`, without a slash. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Shows something at a path, queries included; gives the URL. */
  show(path: string, page: WebPage): string {
    this.#pages.set(path, page)
    return this.url + path
  }

  /** How often a path was asked for. */
  visits(path: string): number {
    return this.requests.filter((request) => request.path === path).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '/'
    this.requests.push({ path, headers: request.headers })
    const page = this.#pages.get(path) ?? { status: 404, body: 'nothing here' }
    if (page.raw !== undefined) {
      page.raw(response)
      return
    }
    const type = page.type === undefined ? {} : { 'Content-Type': page.type }
    response.writeHead(page.status ?? 200, { ...type, ...page.headers })
    response.end(page.body ?? '')
  }
}
