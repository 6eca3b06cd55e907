import { readFile } from 'node:fs/promises'
import { isJsonObject, type JsonObject } from '../util/json.js'
import { ConfigError, formatPath, type ConfigNotice, type KeyPath } from './config-error.js'
import { YamlSource } from './yaml-source.js'

export type LogLevelName = 'debug' | 'info' | 'warn' | 'error' | 'fatal'

/** What is logged, and where. */
export interface LogConfig {
  /** From this level on. */
  readonly level: LogLevelName
  /** Appended to; undefined: standard output. */
  readonly file: string | undefined
}

export interface LoadedLogConfig {
  readonly config: LogConfig
  readonly warnings: readonly ConfigNotice[]
}

const DEFAULT: LogConfig = { level: 'info', file: undefined }

/** Python's names of levels, in lower case. */
const LEVELS: Readonly<Record<string, LogLevelName>> = {
  notset: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  critical: 'fatal',
  fatal: 'fatal',
}

/**
 * Reads the file of `log_config`: either `level` and `file`, or what Synapse has, a dictionary for Python's logging, of
 * which the root's level and the first handler with a file count. Throws a `ConfigError`.
 */
export async function loadLogConfig(path: string | undefined): Promise<LoadedLogConfig> {
  if (path === undefined) return { config: DEFAULT, warnings: [] }
  const source = new YamlSource(path, await readLogFile(path))
  const reader = new LogConfigReader(source)
  const config = 'version' in source.values ? reader.readPython() : reader.readOwn()
  if (reader.errors.length > 0) throw new ConfigError(reader.errors)
  return { config, warnings: reader.warnings }
}

async function readLogFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const message = `${path}: ${(error as Error).message}`
    throw new ConfigError([{ location: undefined, path: 'log_config', message }])
  }
}

class LogConfigReader {
  readonly errors: ConfigNotice[] = []
  readonly warnings: ConfigNotice[] = []
  readonly #source: YamlSource
  readonly #values: Readonly<JsonObject>

  constructor(source: YamlSource) {
    this.#source = source
    this.#values = source.values
  }

  readOwn(): LogConfig {
    for (const key of Object.keys(this.#values)) {
      if (key !== 'level' && key !== 'file')
        this.#say(this.errors, [key], 'unknown key: expected level or file')
    }
    return {
      level: this.#level(['level'], this.#values['level']) ?? DEFAULT.level,
      file: this.#file(['file'], this.#values['file']),
    }
  }

  /** https://docs.python.org/3/library/logging.config.html#logging-config-dictschema */
  readPython(): LogConfig {
    const { root, handlers, loggers } = this.#values
    const rootValues = isJsonObject(root) ? root : {}
    if (isJsonObject(loggers)) this.#checkLoggers(loggers)
    return {
      level: this.#level(['root', 'level'], rootValues['level']) ?? DEFAULT.level,
      file: this.#fileOf(isJsonObject(handlers) ? handlers : {}, rootValues['handlers']),
    }
  }

  /** Only the root has a level; the others' levels are Synapse's own parts, which are not here. */
  #checkLoggers(loggers: Readonly<JsonObject>): void {
    for (const [name, logger] of Object.entries(loggers)) {
      if (isJsonObject(logger)) this.#level(['loggers', name, 'level'], logger['level'])
    }
  }

  #fileOf(handlers: Readonly<JsonObject>, wanted: unknown): string | undefined {
    const names = Array.isArray(wanted) ? wanted.map(String) : Object.keys(handlers)
    // Those that only buffer name the one that writes.
    const reached = names.flatMap((name) => {
      const handler = handlers[name]
      const target = isJsonObject(handler) ? handler['target'] : undefined
      return typeof target === 'string' ? [name, target] : [name]
    })
    let file: string | undefined
    for (const name of reached) {
      const handler = handlers[name]
      if (!isJsonObject(handler)) {
        this.#say(this.errors, ['handlers', name], 'there is no such handler')
        continue
      }
      const path = ['handlers', name, 'filename']
      const given = this.#file(path, handler['filename'])
      if (given === undefined) continue
      if (file === undefined) file = given
      else this.#say(this.warnings, path, 'only the first file is written')
      const { class: kind } = handler
      if (typeof kind === 'string' && kind.includes('Rotating')) {
        this.#say(this.warnings, path, 'the file is not rotated by mxhs: use logrotate and send SIGHUP')
      }
    }
    return file
  }

  #level(path: KeyPath, raw: unknown): LogLevelName | undefined {
    if (raw === undefined || raw === null) return undefined
    const level = typeof raw === 'string' ? LEVELS[raw.toLowerCase()] : undefined
    if (level === undefined) {
      const names = 'debug, info, warn, error or fatal'
      this.#say(this.errors, path, `expected ${names}, got ${JSON.stringify(raw)}`)
    }
    return level
  }

  #file(path: KeyPath, raw: unknown): string | undefined {
    if (raw === undefined || raw === null) return undefined
    if (typeof raw === 'string') return raw
    this.#say(this.errors, path, 'expected a path')
    return undefined
  }

  #say(where: ConfigNotice[], path: KeyPath, message: string): void {
    where.push({ location: this.#source.locate(path), path: formatPath(path), message })
  }
}
