import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { stringify } from 'yaml'
import { builtProgram } from './built-program.js'

export const SHARED_SECRET = 'a-shared-secret-for-tests'

/** Limits that a load generator on one address would run into, out of the way. */
const NO_LIMIT = { per_second: 1_000_000, burst_count: 1_000_000 }

/** In a second, as the kernel counts the time of processes. */
const CLOCK_TICKS = 100

export interface ServerProcessOptions {
  /** The `database` section. A relative SQLite path lies in the process' own directory. */
  readonly database: object
  /** Sections that replace those of the configuration. */
  readonly config?: object
  /** Listeners beside the one for clients. */
  readonly listeners?: readonly object[]
}

/** `mxhs start` in a process of its own, with a configuration and a directory of its own. Can be killed and restarted. */
export class ServerProcess implements AsyncDisposable {
  readonly #directory: string
  readonly #config: string
  readonly url: string
  #process: ChildProcess | undefined
  /** How long the last start took, until the first answer. */
  startMs = 0

  private constructor(options: { directory: string; config: string; url: string }) {
    this.#directory = options.directory
    this.#config = options.config
    this.url = options.url
  }

  static async start(options: ServerProcessOptions): Promise<ServerProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'mxhs-process-'))
    const port = await freePort()
    const config = join(directory, 'homeserver.yaml')
    const { database, listeners = [] } = options
    const sections = { ...configuration(directory, { port, database, listeners }), ...options.config }
    await writeFile(config, stringify(sections))
    const server = new ServerProcess({ directory, config, url: `http://127.0.0.1:${port}` })
    await server.restart()
    return server
  }

  /** The file that it was started with: for commands. */
  get configFile(): string {
    return this.#config
  }

  /** Starts the process, which must have ended, and resolves with its first answer. */
  async restart(): Promise<void> {
    const started = performance.now()
    const child = spawn(process.execPath, [builtProgram(), 'start', '-c', this.#config], {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: this.#directory,
    })
    this.#process = child
    await hasStarted(child)
    await fetch(`${this.url}/_matrix/client/versions`)
    this.startMs = performance.now() - started
  }

  /** Ends the process with a signal and resolves with its exit code once it is gone. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#process
    if (child === undefined) return null
    this.#process = undefined
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const exited = once(child, 'exit')
    child.kill(signal)
    const [code] = (await exited) as [number | null]
    return code
  }

  /** Resident memory in MB, as the kernel counts it. */
  residentMb(): Promise<number> {
    return this.#memoryMb(/VmRSS:\s+(\d+)/)
  }

  /** The most that was resident since the start, in MB. */
  peakMb(): Promise<number> {
    return this.#memoryMb(/VmHWM:\s+(\d+)/)
  }

  /** Time that the process has been computing since the start, on all threads, in seconds. */
  async cpuSeconds(): Promise<number> {
    const stat = await readFile(`/proc/${this.#process?.pid ?? 0}/stat`, 'utf8')
    // The name of the program, which may have spaces, ends with the last bracket; then times are the 12th and 13th field.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS
  }

  async #memoryMb(field: RegExp): Promise<number> {
    const status = await readFile(`/proc/${this.#process?.pid ?? 0}/status`, 'utf8')
    return Number(field.exec(status)?.[1]) / 1024
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM')
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** The `database` section of a fresh SQLite file in the server's directory. */
export function sqliteDatabase(): object {
  return { name: 'sqlite3', args: { database: 'homeserver.db' } }
}

function configuration(
  directory: string,
  options: { port: number; database: object; listeners: readonly object[] },
): object {
  return {
    server_name: 'process.test',
    report_stats: false,
    listeners: [
      {
        port: options.port,
        type: 'http',
        bind_addresses: ['127.0.0.1'],
        resources: [{ names: ['client', 'federation', 'media', 'metrics'] }],
      },
      ...options.listeners,
    ],
    database: inDirectory(options.database, directory),
    signing_key: 'ed25519 a_test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    media_store_path: join(directory, 'media'),
    registration_shared_secret: SHARED_SECRET,
    macaroon_secret_key: 'not-so-secret',
    form_secret: 'not-so-secret',
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

function inDirectory(database: object, directory: string): object {
  const { name, args } = database as { name: string; args: Record<string, unknown> }
  if (name !== 'sqlite3' || typeof args['database'] !== 'string') return database
  return { name, args: { ...args, database: join(directory, args['database']) } }
}

/** A port of this machine at which nobody listens. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

/** The last that `mxhs start` says, once it listens. */
const STARTED = 'Ctrl-C stops the server.'

/** Resolves when the server says that it listens: to ask it again and again until then would cost more than its start. */
function hasStarted(child: ChildProcessByStdio<null, null, Readable>): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = ''
    const fail = (reason: string): void => reject(new Error(`The server ${reason}: ${output}`))
    const timer = setTimeout(() => fail('did not start within 60 s'), 60_000)
    child.once('exit', (code) => {
      clearTimeout(timer)
      fail(`ended with exit code ${code}`)
    })
    // Read to the end: a process whose output nobody takes comes to a stop.
    child.stderr.on('data', (chunk: Buffer) => {
      output = `${output}${chunk.toString()}`.slice(-5_000)
      if (!output.includes(STARTED)) return
      clearTimeout(timer)
      resolve()
    })
  })
}
