import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServerName } from '../../src/protocol/ids.js'
import { freePort, ServerProcess, SHARED_SECRET } from '../../test/support/server-process.js'
import { TestAuthority } from '../../test/support/test-authority.js'
import { BenchClient } from '../client.js'
import { Peer } from './peer.js'

/** A server that is measured, and how its clients reach it. */
export interface FederatedServer {
  readonly serverName: ServerName
  readonly process: ServerProcess
  readonly client: BenchClient
}

const NO_LIMIT = { window_size: 1000, sleep_limit: 1_000_000, sleep_delay: 0, reject_limit: 1_000_000 }

/** Servers of one authority that reach each other over TLS on this machine. All end with it. */
export class FederatedServers implements AsyncDisposable {
  readonly #authority = new TestAuthority()
  readonly #certificate = this.#authority.issue(['127.0.0.1'])
  readonly #createDatabase: () => Promise<object>
  readonly #directory: string
  readonly #servers = new Set<FederatedServer>()
  readonly #peers: Peer[] = []

  private constructor(createDatabase: () => Promise<object>, directory: string) {
    this.#createDatabase = createDatabase
    this.#directory = directory
  }

  /** @param createDatabase gives the `database` section of a fresh database */
  static async create(createDatabase: () => Promise<object>): Promise<FederatedServers> {
    const directory = await mkdtemp(join(tmpdir(), 'mxhs-bench-federation-'))
    const servers = new FederatedServers(createDatabase, directory)
    const { certificate, privateKey } = servers.#certificate
    await writeFile(servers.#path('authority.pem'), servers.#authority.certificate)
    await writeFile(servers.#path('server.crt'), certificate)
    await writeFile(servers.#path('server.key'), privateKey)
    return servers
  }

  /** Starts mxhs in a process of its own. */
  async start(): Promise<FederatedServer> {
    const port = await freePort()
    const serverName = `127.0.0.1:${port}` as ServerName
    const process = await ServerProcess.start({
      database: await this.#createDatabase(),
      listeners: [
        {
          port,
          type: 'http',
          tls: true,
          bind_addresses: ['127.0.0.1'],
          resources: [{ names: ['federation', 'keys'] }],
        },
      ],
      config: {
        server_name: serverName,
        signing_key: `ed25519 bench ${Buffer.alloc(32, port.toString()).toString('base64')}`,
        tls_certificate_path: this.#path('server.crt'),
        tls_private_key_path: this.#path('server.key'),
        federation_custom_ca_list: [this.#path('authority.pem')],
        ip_range_blacklist: [],
        rc_federation: NO_LIMIT,
      },
    })
    const client = new BenchClient(process.url, { sharedSecret: SHARED_SECRET, connections: 128 })
    const server = { serverName, process, client }
    this.#servers.add(server)
    return server
  }

  /** Ends one before the others. */
  async end(server: FederatedServer): Promise<void> {
    this.#servers.delete(server)
    await server.client.close()
    await server.process[Symbol.asyncDispose]()
  }

  /** Starts a scripted server in this process. */
  async peer(): Promise<Peer> {
    const authority = this.#authority.certificate
    const peer = await Peer.start({ certificate: this.#certificate, authority })
    this.#peers.push(peer)
    return peer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await this.end(server)
    await Promise.all(this.#peers.map((peer) => peer[Symbol.asyncDispose]()))
    await rm(this.#directory, { recursive: true, force: true })
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }
}
