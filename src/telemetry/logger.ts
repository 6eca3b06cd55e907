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
  /** Opens the file anew, for log rotation (SIGHUP). Does nothing where there is no file. */
  reopen(): void
  /** Writes what is still buffered. */
  flush(): void
}

/** Builds the logger of one server. Lines are JSON; the running request's id is added to each. */
export function createLogger(options: LoggerOptions): LogOutput {
  const file =
    options.destination === undefined
      ? pino.destination({ dest: options.file ?? 1, mkdir: options.file !== undefined, sync: false })
      : undefined
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: ['access_token', 'password', '*.access_token', '*.password'], remove: true },
      mixin: () => {
        const context = requestContext()
        if (context === undefined) return {}
        return context.requester === undefined
          ? { request: context.requestId }
          : { request: context.requestId, requester: context.requester }
      },
    },
    options.destination ?? file!,
  )
  return {
    logger,
    reopen: () => {
      if (options.file !== undefined) file?.reopen()
    },
    flush: () => {
      file?.flushSync()
    },
  }
}

/** Swallows everything: for commands and tests. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' })
}
