import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'
import type { Dns, ResolvedAddress, SrvRecord } from '../../src/net/dns.js'

/** `refused`: nobody listens; `silent`: connections are taken and nothing comes of them. */
export type LinkState = 'open' | 'refused' | 'silent'

/**
 * The ways between servers of a test: each pair of names has a port of its own, where connections are passed on, or cut.
 * Names are found by SRV records, in the view that each server has of the network.
 */
export class TestNetwork implements AsyncDisposable {
  readonly #ports = new Map<string, () => number>()
  readonly #links = new Map<string, Promise<Link>>()
  readonly #states = new Map<string, LinkState>()

  /** Says where a server listens, now and whenever somebody asks. */
  add(serverName: string, port: () => number): void {
    this.#ports.set(serverName, port)
  }

  /** What a server sees of the network. Other names than those of the test's servers do not exist. */
  dnsOf(from: string): Dns {
    return {
      lookup: (hostname) => this.#lookup(hostname),
      resolveSrv: (name) => this.#resolveSrv(from, name),
    }
  }

  /** The port at which `from` reaches `to`. */
  async portBetween(from: string, to: string): Promise<number> {
    return (await this.#link(from, to)).port
  }

  /** Cuts two servers off from each other, in both directions: connections end, and no others come about. */
  async cut(a: string, b: string, state: Exclude<LinkState, 'open'> = 'refused'): Promise<void> {
    await this.setLink(a, b, state)
    await this.setLink(b, a, state)
  }

  async heal(a: string, b: string): Promise<void> {
    await this.setLink(a, b, 'open')
    await this.setLink(b, a, 'open')
  }

  /** One direction only. */
  async setLink(from: string, to: string, state: LinkState): Promise<void> {
    this.#states.set(`${from} ${to}`, state)
    const link = this.#links.get(`${from} ${to}`)
    if (link !== undefined) (await link).set(state)
  }

  /** Ends the connections from one to the other; the next come about as before. */
  async reset(from: string, to: string): Promise<void> {
    ;(await this.#link(from, to)).reset()
  }

  /** From now on everything takes so long from one to the other, in milliseconds. */
  async setDelay(from: string, to: string, delayMs: number): Promise<void> {
    ;(await this.#link(from, to)).delayMs = delayMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links.values()) await (await link).close()
  }

  #lookup(hostname: string): Promise<readonly ResolvedAddress[]> {
    if (this.#ports.has(hostname)) return Promise.resolve([{ address: '127.0.0.1', family: 4 }])
    return Promise.reject(Object.assign(new Error(`no such host: ${hostname}`), { code: 'ENOTFOUND' }))
  }

  async #resolveSrv(from: string, name: string): Promise<readonly SrvRecord[]> {
    const to = name.replace(/^_matrix-fed\._tcp\./, '')
    if (!this.#ports.has(to)) return []
    return [{ name: to, port: await this.portBetween(from, to), priority: 10, weight: 5 }]
  }

  #link(from: string, to: string): Promise<Link> {
    const key = `${from} ${to}`
    let link = this.#links.get(key)
    if (link === undefined) {
      link = Link.open(() => this.#ports.get(to)?.() ?? 0, this.#states.get(key) ?? 'open')
      this.#links.set(key, link)
    }
    return link
  }
}

/** Passes connections on. */
class Link {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  delayMs = 0
  #state: LinkState

  private constructor(server: Server, state: LinkState) {
    this.#server = server
    this.#state = state
    this.port = (server.address() as AddressInfo).port
  }

  static async open(target: () => number, state: LinkState): Promise<Link> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const link = new Link(server, state)
    server.on('connection', (socket) => link.#pass(socket, target()))
    return link
  }

  set(state: LinkState): void {
    this.#state = state
    if (state !== 'open') this.reset()
  }

  reset(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #pass(socket: Socket, port: number): void {
    this.#keep(socket)
    if (this.#state === 'silent') return
    if (this.#state === 'refused') {
      socket.resetAndDestroy()
      return
    }
    const other = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    this.#keep(other)
    socket.pipe(this.#delayed()).pipe(other).pipe(socket)
    socket.once('close', () => other.destroy())
    other.once('close', () => socket.destroy())
  }

  /** Passes on what comes, late. */
  #delayed(): Transform {
    return new Transform({
      transform: (chunk, _encoding, callback) => {
        if (this.delayMs === 0) callback(null, chunk)
        else setTimeout(() => callback(null, chunk), this.delayMs)
      },
    })
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#sockets.delete(socket))
  }
}
