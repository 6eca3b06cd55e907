import { once } from 'node:events'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { pino, type DestinationStream, type LevelWithSilent } from 'pino'
import { requestContext } from './request-context.js'

export type LogLevel = LevelWithSilent

export interface LogFunction {
  (fields: object, message: string): void
  (message: string): void
}

/** Structured lines. `err` in the fields holds an error. Never log tokens, passwords or message content. */
export interface Logger {
  readonly trace: LogFunction
  readonly debug: LogFunction
  readonly info: LogFunction
  readonly warn: LogFunction
  readonly error: LogFunction
  readonly fatal: LogFunction
  level: string
  child(fields: Record<string, unknown>): Logger
}

export interface LoggerOptions {
  readonly level: LogLevel
  /** A file to append to; standard output when absent. */
  readonly file?: string
  /** Writes lines here: for tests. */
  readonly destination?: DestinationStream
}

/** A logger together with what its file needs. */
export interface LogOutput {
  readonly logger: Logger
  /** Opens the file anew, for log rotation (SIGHUP). Does nothing where there is no file. Rejects when it cannot. */
  reopen(): Promise<void>
  /** Writes what is still buffered. */
  flush(): void
}

/**
 * Builds the logger of one server. Lines are JSON; the running request's id is added to each. Rejects when the file
 * cannot be opened.
 */
export async function createLogger(options: LoggerOptions): Promise<LogOutput> {
  const stream = options.destination === undefined ? await openStream(options.file) : undefined
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: withoutSecrets },
      mixin: () => {
        const context = requestContext()
        if (context === undefined) return {}
        return context.requester === undefined
          ? { request: context.requestId }
          : { request: context.requestId, requester: context.requester }
      },
    },
    options.destination ?? stream!,
  )
  return {
    logger,
    reopen: async () => {
      if (stream === undefined || options.file === undefined) return
      const ready = once(stream, 'ready')
      stream.reopen()
      await ready
    },
    flush: () => {
      stream?.flushSync()
    },
  }
}

const SECRETS = ['access_token', 'password']

type Fields = Record<string, unknown>

/**
 * The fields of a line, and of what they hold, without what is never logged. The logger's own way to do so takes longer
 * than to write the line.
 */
function withoutSecrets(fields: Fields): Fields {
  let clean = SECRETS.some((name) => name in fields) ? omitSecrets(fields) : fields
  for (const name in clean) {
    const value = clean[name]
    if (typeof value !== 'object' || value === null || !SECRETS.some((secret) => secret in value)) continue
    if (clean === fields) clean = { ...fields }
    clean[name] = omitSecrets(value)
  }
  return clean
}

/** A copy of the same kind: errors stay errors. */
function omitSecrets<T extends object>(value: T): T {
  const prototype = Object.getPrototypeOf(value) as object | null
  const copy = Object.create(prototype, Object.getOwnPropertyDescriptors(value)) as T
  for (const name of SECRETS) Reflect.deleteProperty(copy, name)
  return copy
}

/** Bytes that are written together under load: a write for each line costs a request more than it is worth... */
const WRITTEN_TOGETHER = 12_288
/** ...but no line is seen later than this. */
const FLUSH_MS = 200

async function openStream(file: string | undefined): Promise<ReturnType<typeof pino.destination>> {
  // Tried beforehand: a stream that could not open its file would fail once more at the exit of the process.
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true })
    closeSync(openSync(file, 'a'))
  }
  const stream = pino.destination({
    dest: file ?? 1,
    append: true,
    sync: false,
    minLength: WRITTEN_TOGETHER,
    periodicFlush: FLUSH_MS,
  })
  if (file !== undefined) await once(stream, 'ready')
  stream.on('error', (error: Error) => {
    process.stderr.write(`Cannot write the log: ${error.message}\n`)
  })
  return stream
}

/** Swallows everything: for commands and tests. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' })
}
