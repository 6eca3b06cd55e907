import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '../../src/util/json.js'
import { MatrixClient } from '../support/matrix-client.js'
import type { TestAuthority } from '../support/test-authority.js'
import { SynapseWorkers } from './synapse-workers.js'

/** The Python that can import `synapse`. */
const PYTHON_VARIABLE = 'MXHS_INTEROP_SYNAPSE'
const PASSWORD = 'correct horse'
const START_ATTEMPTS = 600
const ATTEMPT_MS = 100

/** Why there is no Synapse to talk to, or its version. */
export function findSynapse(): { readonly version: string } | { readonly missing: string } {
  const python = process.env[PYTHON_VARIABLE]
  if (python === undefined || python === '') {
    return {
      missing:
        `${PYTHON_VARIABLE} names no Python. Install Synapse (\`pip install matrix-synapse\` in a virtual ` +
        'environment, or the Debian package matrix-synapse) and set it to the Python that can import `synapse`.',
    }
  }
  const run = spawnSync(python, ['-c', 'import synapse; print(synapse.__version__)'], { encoding: 'utf8' })
  if (run.status === 0) return { version: run.stdout.trim() }
  return { missing: `${PYTHON_VARIABLE}=${python} cannot import synapse: ${run.stderr || String(run.error)}` }
}

/** Whether the Python of Synapse has a package. */
export function canImport(name: string): boolean {
  return spawnSync(process.env[PYTHON_VARIABLE] ?? 'python3', ['-c', `import ${name}`]).status === 0
}

/** A real Synapse on loopback, named by its address, that trusts the authority of the test. */
export class SynapseProcess implements AsyncDisposable {
  readonly serverName: string
  /** Where clients find it. */
  readonly url: string
  readonly #directory: string
  readonly #workers: SynapseWorkers | undefined
  readonly #clientPort: number
  #process: ChildProcess | undefined

  private constructor(
    directory: string,
    ports: { client: number; federation: number },
    workers: SynapseWorkers | undefined,
  ) {
    this.#directory = directory
    this.#workers = workers
    this.#clientPort = ports.client
    this.serverName = `127.0.0.1:${ports.federation}`
    this.url = `http://127.0.0.1:${ports.client}`
  }

  /** `databases`: instead of a file of SQLite. `hasWorkers`: in several processes, for which there must be a Redis. */
  static async start(
    authority: TestAuthority,
    { databases, hasWorkers = false }: { databases?: JsonObject; hasWorkers?: boolean } = {},
  ): Promise<SynapseProcess> {
    const directory = mkdtempSync(join(tmpdir(), 'mxhs-synapse-'))
    chmodSync(directory, 0o755)
    const [client, federation] = await Promise.all([freePort(), freePort()])
    const workers = hasWorkers ? await workersIn(directory) : undefined
    const synapse = new SynapseProcess(directory, { client, federation }, workers)
    synapse.#writeFiles(authority, {
      ports: { client: workers?.mainPort ?? client, federation },
      databases: databases ?? { all: sqlite(join(directory, 'synapse.db')) },
    })
    await synapse.resume()
    return synapse
  }

  /** Where its configuration, database and files are; gone once it is disposed of. */
  get directory(): string {
    return this.#directory
  }

  /** Starts it again after `pause`. */
  async resume(): Promise<void> {
    await this.#workers?.startRedis()
    await this.#resumeMain()
    await this.#workers?.start(this.#clientPort)
  }

  async #resumeMain(): Promise<void> {
    const main = `http://127.0.0.1:${this.#workers?.mainPort ?? this.#clientPort}`
    const log = openSync(join(this.#directory, 'synapse.log'), 'a')
    const command = ['-m', 'synapse.app.homeserver', '-c', join(this.#directory, 'homeserver.yaml')]
    this.#process = spawn(process.env[PYTHON_VARIABLE] ?? 'python3', command, { stdio: ['ignore', log, log] })
    for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
      if (this.#process.exitCode !== null) break
      const isUp = await fetch(`${main}/health`).then(
        ({ ok }) => ok,
        () => false,
      )
      if (isUp) return
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS))
    }
    throw new Error(`Synapse does not start:\n${readFileSync(join(this.#directory, 'synapse.log'), 'utf8')}`)
  }

  /** Stops it; what it knows stays. */
  async pause(): Promise<void> {
    await this.#workers?.stop()
    const running = this.#process
    this.#process = undefined
    if (running?.exitCode !== null) return
    const exited = once(running, 'exit')
    running.kill('SIGTERM')
    await exited
  }

  /** The end of its log. */
  log(): string {
    return readFileSync(join(this.#directory, 'synapse.log'), 'utf8').slice(-20_000)
  }

  async register(localpart: string): Promise<MatrixClient> {
    return new MatrixClient(this.url, undefined, { isForeign: true }).register(localpart, PASSWORD)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pause()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #writeFiles(
    authority: TestAuthority,
    { ports, databases }: { ports: { client: number; federation: number }; databases: JsonObject },
  ): void {
    const write = (name: string, text: string): string => {
      const path = join(this.#directory, name)
      writeFileSync(path, text)
      return path
    }
    const { certificate, privateKey } = authority.issue(['127.0.0.1'])
    const media = join(this.#directory, 'media')
    mkdirSync(media)
    const noLimit = { per_second: 10_000, burst_count: 10_000 }
    const config = {
      server_name: this.serverName,
      report_stats: false,
      pid_file: join(this.#directory, 'pid'),
      listeners: [
        {
          port: ports.client,
          type: 'http',
          bind_addresses: ['127.0.0.1'],
          resources: [{ names: ['client'] }],
        },
        {
          port: ports.federation,
          type: 'http',
          tls: true,
          bind_addresses: ['127.0.0.1'],
          resources: [{ names: ['federation'] }],
        },
        ...(this.#workers ? [this.#workers.replicationListener] : []),
      ],
      ...this.#workers?.config,
      tls_certificate_path: write('tls.crt', certificate),
      tls_private_key_path: write('tls.key', privateKey),
      federation_custom_ca_list: [write('authority.pem', authority.certificate)],
      databases,
      media_store_path: media,
      signing_key_path: write(
        'signing.key',
        `ed25519 a_synapse ${randomBytes(32).toString('base64').replace(/=+$/, '')}\n`,
      ),
      enable_registration: true,
      enable_registration_without_verification: true,
      macaroon_secret_key: 'a secret',
      form_secret: 'another secret',
      bcrypt_rounds: 4,
      trusted_key_servers: [],
      ip_range_blacklist: [],
      allow_public_rooms_over_federation: true,
      enable_authenticated_media: true,
      rc_message: noLimit,
      rc_registration: noLimit,
      rc_login: { address: noLimit, account: noLimit, failed_attempts: noLimit },
      rc_joins: { local: noLimit, remote: noLimit },
      rc_joins_per_room: noLimit,
      rc_room_creation: noLimit,
      rc_presence: { per_user: noLimit },
      rc_invites: { per_room: noLimit, per_user: noLimit, per_issuer: noLimit },
      federation: {
        client_timeout: '10s',
        max_short_retry_delay: '1s',
        destination_min_retry_interval: '1s',
      },
    }
    // JSON is YAML.
    write('homeserver.yaml', JSON.stringify(config, undefined, 2))
  }
}

async function workersIn(directory: string): Promise<SynapseWorkers> {
  const ports = await Promise.all(Array.from({ length: SynapseWorkers.portsNeeded }, freePort))
  return new SynapseWorkers(process.env[PYTHON_VARIABLE] ?? 'python3', directory, ports)
}

function sqlite(path: string): JsonObject {
  return { name: 'sqlite3', args: { database: path } }
}

/** A port that nobody listens at now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('No port is free')
  return address.port
}
