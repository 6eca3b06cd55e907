import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/server-process.js'

const START_ATTEMPTS = 100
const ATTEMPT_MS = 50
/** Where Debian puts it, beyond the PATH of most users. */
const SYSTEM_PROGRAMS = '/usr/sbin'

/** Why there is no IRC server, or its version. */
export function findNgircd(): { readonly version: string } | { readonly missing: string } {
  const run = spawnSync('ngircd', ['--version'], { encoding: 'utf8', env: environment() })
  if (run.status === 0) return { version: run.stdout.split('-', 1)[0] ?? '' }
  return { missing: 'There is no ngircd on the PATH: install the package ngircd.' }
}

/** An IRC server on a free port of this machine. */
export class NgircdProcess implements AsyncDisposable {
  readonly port: number
  readonly #directory: string
  #process: ChildProcess | undefined

  private constructor(directory: string, port: number) {
    this.#directory = directory
    this.port = port
  }

  static async start(): Promise<NgircdProcess> {
    const directory = mkdtempSync(join(tmpdir(), 'mxhs-ngircd-'))
    // It gives up root's rights before it reads its files again.
    chmodSync(directory, 0o755)
    const server = new NgircdProcess(directory, await freePort())
    await server.#run()
    return server
  }

  async #run(): Promise<void> {
    const file = join(this.#directory, 'ngircd.conf')
    writeFileSync(file, configuration(this.port))
    const log = openSync(join(this.#directory, 'ngircd.log'), 'a')
    const child = spawn('ngircd', ['-n', '-f', file], { stdio: ['ignore', log, log], env: environment() })
    this.#process = child
    for (let attempt = 0; attempt < START_ATTEMPTS && child.exitCode === null; attempt++) {
      if (await accepts(this.port)) return
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS))
    }
    throw new Error(`ngircd does not start:\n${readFileSync(join(this.#directory, 'ngircd.log'), 'utf8')}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process
    if (child?.exitCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_PROGRAMS}` }
}

function configuration(port: number): string {
  return `[Global]
Name = irc.example.com
Info = An IRC server
Listen = 127.0.0.1
Ports = ${port}

[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxNickLength = 31

[Options]
DNS = no
Ident = no
PAM = no
`
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
