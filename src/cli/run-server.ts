import { rmSync, writeFileSync } from 'node:fs'
import { ConfigError, formatNotice } from '../config/config-error.js'
import { loadConfig } from '../config/load.js'
import { loadLogConfig } from '../config/log-config.js'
import { createHomeserver, type Homeserver } from '../server/homeserver.js'
import { createLogger, type LogOutput } from '../telemetry/logger.js'
import { CommandFailure } from './failures.js'
import type { CheckedConfig } from './check-config.js'

export interface RunOptions {
  /** Read anew at SIGHUP. */
  readonly paths: readonly string[]
  /** Called once the server answers. */
  readonly onStarted: (homeserver: Homeserver) => void
  /** Called when it has been told to end. */
  readonly onStopping: (signal: string) => void
}

/**
 * Runs a server until SIGTERM or SIGINT, and resolves when it has ended in order; a second signal ends the process at
 * once. SIGHUP makes it read again what may change. Throws a `CommandFailure` when it cannot start.
 */
export async function runServer({ config, log }: CheckedConfig, options: RunOptions): Promise<void> {
  const output = await openLog(log)
  const signals = new Signals()
  const reloads = new Reloads({ output, paths: options.paths })
  try {
    const rereadConfig = (): Promise<readonly string[]> => reloads.run()
    const homeserver = await started(() => createHomeserver(config, { log: output, rereadConfig }))
    reloads.homeserver = homeserver
    try {
      await started(() => homeserver.start())
      writePidFile(config.server.pidFile)
      signals.onReload(() => void reloads.run().catch(() => undefined))
      options.onStarted(homeserver)
      options.onStopping(await signals.ending)
    } finally {
      await homeserver.stop()
      removePidFile(config.server.pidFile)
    }
  } finally {
    signals.close()
    output.flush()
  }
}

async function openLog({ level, file }: CheckedConfig['log']): Promise<LogOutput> {
  return started(() => createLogger({ level, ...(file === undefined ? {} : { file }) }))
}

/** What goes wrong at the start is mostly a matter of the machine: an address that is taken, a database that is away. */
async function started<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (error) {
    if (!(error instanceof Error) || error instanceof ConfigError) throw error
    if (isOwnFault(error)) throw error
    throw new CommandFailure(explain(error), { cause: error })
  }
}

function isOwnFault(error: Error): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
}

function explain(error: Error & { code?: string; address?: string; port?: number }): string {
  const address = `${error.address ?? ''}:${error.port ?? ''}`
  if (error.code === 'EADDRINUSE') return `Another process listens at ${address} already`
  if (error.code === 'EADDRNOTAVAIL') return `This machine has no address ${error.address ?? ''}`
  if (error.code === 'EACCES' && error.port !== undefined) return `Listening at ${address} is not allowed`
  return error.message
}

/** Reads the configuration again: at SIGHUP and when a command asks for it, one after the other. */
class Reloads {
  readonly #output: LogOutput
  readonly #paths: readonly string[]
  #last: Promise<unknown> = Promise.resolve()
  /** There before anybody can ask. */
  homeserver: Homeserver | undefined

  constructor({ output, paths }: { output: LogOutput; paths: readonly string[] }) {
    this.#output = output
    this.#paths = paths
  }

  /** Gives what there is to warn of. Rejects, and has logged that, when the configuration cannot be used. */
  run(): Promise<readonly string[]> {
    const run = this.#last.then(() => this.#reload())
    this.#last = run.catch(() => undefined)
    return run
  }

  async #reload(): Promise<readonly string[]> {
    const { logger } = this.#output
    try {
      const { config, warnings } = await loadConfig(this.#paths)
      const log = await loadLogConfig(config.logging.configPath)
      logger.level = log.config.level
      await this.homeserver?.reload(config)
      const notices = [...warnings, ...log.warnings]
      logger.info({ warnings: notices }, 'Read the configuration again')
      return notices.map(formatNotice)
    } catch (err) {
      logger.error({ err }, 'Could not read the configuration again; the old one remains')
      throw err
    }
  }
}

/** The signals of a process, while a server runs in it. */
class Signals {
  /** Resolves with the first of SIGTERM and SIGINT. */
  readonly ending: Promise<string>
  readonly #handlers: [NodeJS.Signals, () => void][] = []

  constructor() {
    this.ending = new Promise((resolve) => {
      let isEnding = false
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        this.#on(signal, () => {
          // Somebody cannot wait.
          if (isEnding) process.kill(process.pid, 'SIGKILL')
          isEnding = true
          resolve(signal)
        })
      }
    })
  }

  onReload(reload: () => void): void {
    this.#on('SIGHUP', reload)
  }

  close(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler)
  }

  #on(signal: NodeJS.Signals, handler: () => void): void {
    this.#handlers.push([signal, handler])
    process.on(signal, handler)
  }
}

function writePidFile(path: string | undefined): void {
  if (path !== undefined) writeFileSync(path, `${process.pid}\n`)
}

function removePidFile(path: string | undefined): void {
  if (path !== undefined) rmSync(path, { force: true })
}
