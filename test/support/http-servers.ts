import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'

/** A plain server, or one with TLS, that answers as a test says. */
export interface HttpServer extends AsyncDisposable {
  readonly port: number
  /** How many connections have been opened so far. */
  readonly connections: () => number
}

export async function startHttpServer(
  handler: RequestListener,
  options: { readonly tls?: ServerOptions; readonly host?: string } = {},
): Promise<HttpServer> {
  const server: Server =
    options.tls === undefined ? createHttpServer(handler) : createHttpsServer(options.tls, handler)
  let connections = 0
  server.on(options.tls === undefined ? 'connection' : 'secureConnection', () => connections++)
  server.on('tlsClientError', () => undefined)
  server.listen(0, options.host ?? '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** Handlers that do not behave. */
export const MISBEHAVIOUR = {
  /** Never stops. */
  endless: (_request, response) => {
    const chunk = Buffer.alloc(64 * 1024, 0x20)
    const write = (): void => {
      while (!response.destroyed && response.write(chunk)) continue
    }
    response.on('drain', write)
    write()
  },
  /** 100 MB, and says so. */
  huge: (_request, response) => {
    response.setHeader('Content-Length', 100 * 1024 * 1024)
    response.write('{')
  },
  /** One byte at a time. */
  trickle: (_request, response) => {
    const timer = setInterval(() => response.write(' '), 20)
    response.once('close', () => clearInterval(timer))
  },
  /** Nothing at all. */
  silent: () => undefined,
  /** Back to itself. */
  loop: (request, response) => {
    response.writeHead(302, { Location: request.url ?? '/' }).end()
  },
  /** Ends in the middle. */
  abrupt: (_request, response) => {
    response.setHeader('Content-Length', 1000)
    response.write('{')
    setImmediate(() => response.socket?.destroy())
  },
} as const satisfies Record<string, RequestListener>
