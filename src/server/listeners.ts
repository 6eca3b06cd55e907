import { once } from 'node:events'
import { chmodSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { ListenerConfig } from '../config/sections/listeners.js'

/** Files with certificates and keys in PEM. */
export interface TlsFiles {
  readonly certificatePath: string
  readonly privateKeyPath: string
}

/** Where a server listens: a URL, or the path of a local socket. */
export type ListenerAddress = { readonly url: string } | { readonly path: string }

/** Somebody behind a slow line may take this long to send a body. */
const REQUEST_TIMEOUT_MS = 15 * 60 * 1000
/** Longer than proxies keep idle connections, so that they do not use one that is just being closed. */
const KEEP_ALIVE_MS = 75_000
/** The filter of a sync may stand in its URL. */
const MAX_HEAD_BYTES = 64 * 1024

type AnyServer = Server | HttpsServer

interface OpenServer {
  readonly server: AnyServer
  readonly address: ListenerAddress
}

/** The sockets of one server process. */
export class Listeners {
  readonly #tls: TlsFiles | undefined
  readonly #open: OpenServer[] = []

  constructor(tls: TlsFiles | undefined) {
    this.#tls = tls
  }

  get addresses(): readonly ListenerAddress[] {
    return this.#open.map(({ address }) => address)
  }

  /** Listens at all addresses of a listener. Rejects when one of them cannot be had. */
  async open({ address, tls }: ListenerConfig, handler: RequestListener): Promise<void> {
    if ('path' in address) {
      await this.#listenAtPath(address.path, address.mode, this.#createServer(tls, handler))
      return
    }
    for (const host of address.bindAddresses) {
      try {
        await this.#listenAtPort(host, address.port, { server: this.#createServer(tls, handler), isTls: tls })
      } catch (error) {
        if (!isCoveredByOther(host, address.bindAddresses, error)) throw error
      }
    }
  }

  /** Reads certificates anew, for connections to come. Throws, and changes nothing, when they cannot be used. */
  reloadTls(): void {
    for (const { server } of this.#open) {
      if ('setSecureContext' in server) server.setSecureContext(this.#secureContext())
    }
  }

  /** Takes no new connections and lets go of idle ones; resolves when all are gone. */
  async close(): Promise<void> {
    await Promise.all(this.#open.map(({ server }) => closeServer(server)))
  }

  /** Ends all connections, whatever they are doing. */
  closeConnections(): void {
    for (const { server } of this.#open) server.closeAllConnections()
  }

  async #listenAtPort(
    host: string,
    wanted: number,
    { server, isTls }: { server: AnyServer; isTls: boolean },
  ): Promise<void> {
    server.listen({ host, port: wanted })
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const url = `${isTls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`
    this.#open.push({ server, address: { url } })
  }

  async #listenAtPath(path: string, mode: number, server: AnyServer): Promise<void> {
    // Left over from a process that has not ended properly.
    if (statSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path)
    server.listen(path)
    await once(server, 'listening')
    chmodSync(path, mode)
    this.#open.push({ server, address: { path } })
  }

  #createServer(tls: boolean, handler: RequestListener): AnyServer {
    const options = {
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEAD_BYTES,
    }
    return tls
      ? createHttpsServer({ ...options, ...this.#secureContext() }, handler)
      : createHttpServer(options, handler)
  }

  #secureContext(): { cert: Buffer; key: Buffer } {
    if (this.#tls === undefined)
      throw new Error('A listener with TLS needs a certificate and its private key')
    return { cert: readFileSync(this.#tls.certificatePath), key: readFileSync(this.#tls.privateKeyPath) }
  }
}

/** All addresses of IPv6 include those of IPv4 on most machines; some machines have no IPv6. */
function isCoveredByOther(host: string, hosts: readonly string[], error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (host === '0.0.0.0') return code === 'EADDRINUSE' && hosts.includes('::')
  return host === '::' && hosts.includes('0.0.0.0') && ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(code)
}

function closeServer(server: AnyServer): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
  })
}
