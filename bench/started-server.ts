import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'

export const SHARED_SECRET = 'bench-secret'

/** Limits that a load generator on one address would run into, out of the way. */
const NO_LIMIT = { per_second: 1_000_000, burst_count: 1_000_000 }

/** An mxhs process of its own, with a configuration and data of its own. */
export class StartedServer implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #directory: string
  readonly url: string
  /** From the start of the process to its first answer. */
  readonly startMs: number

  private constructor(process: ChildProcess, options: { directory: string; url: string; startMs: number }) {
    this.#process = process
    this.#directory = options.directory
    this.url = options.url
    this.startMs = options.startMs
  }

  /** `database`: the section of the configuration. */
  static async start(database: object): Promise<StartedServer> {
    const directory = await mkdtemp(join(tmpdir(), 'mxhs-bench-'))
    const port = await freePort()
    const config = join(directory, 'homeserver.yaml')
    await writeFile(config, stringify(configuration(directory, { port, database })))
    const run = fileURLToPath(new URL('../bin/run.js', import.meta.url))
    const started = performance.now()
    const child = spawn(process.execPath, [run, 'start', '-c', config], {
      stdio: ['ignore', 'ignore', 'inherit'],
      cwd: directory,
    })
    const url = `http://127.0.0.1:${port}`
    await answers(url, child)
    return new StartedServer(child, { directory, url, startMs: performance.now() - started })
  }

  /** Resident memory in MB, as the kernel counts it. */
  async residentMb(): Promise<number> {
    const status = await readFile(`/proc/${this.#process.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGTERM')
    if (this.#process.exitCode === null) await once(this.#process, 'exit')
    await rm(this.#directory, { recursive: true, force: true })
  }
}

function configuration(directory: string, options: { port: number; database: object }): object {
  return {
    server_name: 'bench.test',
    report_stats: false,
    listeners: [
      {
        port: options.port,
        type: 'http',
        bind_addresses: ['127.0.0.1'],
        resources: [{ names: ['client', 'federation'] }],
      },
    ],
    database: options.database,
    signing_key: 'ed25519 a_bench AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    media_store_path: join(directory, 'media'),
    registration_shared_secret: SHARED_SECRET,
    macaroon_secret_key: 'bench',
    form_secret: 'bench',
    // The cost of hashing is a setting, not the server's speed: the least that bcrypt takes.
    bcrypt_rounds: 4,
    trusted_key_servers: [],
    rc_message: NO_LIMIT,
    rc_registration: NO_LIMIT,
    rc_login: { address: NO_LIMIT, account: NO_LIMIT, failed_attempts: NO_LIMIT },
    rc_joins: { local: NO_LIMIT, remote: NO_LIMIT },
    rc_joins_per_room: NO_LIMIT,
    rc_room_creation: NO_LIMIT,
    rc_invites: { per_room: NO_LIMIT, per_user: NO_LIMIT, per_issuer: NO_LIMIT },
  }
}

/** The database of a fresh SQLite file in the server's directory. */
export function sqliteDatabase(): object {
  return { name: 'sqlite3', args: { database: 'bench.db' } }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

/** Resolves with the first answer of the server; rejects when it ends before. */
async function answers(url: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + 60_000
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`The server ended with exit code ${child.exitCode}`)
    try {
      await fetch(`${url}/_matrix/client/versions`)
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  throw new Error('The server did not answer within 60 s')
}
