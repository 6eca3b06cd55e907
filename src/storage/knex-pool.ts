import type { Knex } from 'knex'
import type { Logger } from '../telemetry/logger.js'

/** What knex says by itself: warnings about connections. Errors come as errors, so their messages are for debugging. */
export function knexLog(logger: Logger): Knex.Logger {
  const say =
    (level: 'debug' | 'warn') =>
    (message: unknown): void => {
      logger[level](String(message))
    }
  return { debug: say('debug'), error: say('debug'), warn: say('warn'), deprecate: say('debug') }
}

/** The part of knex that hands out driver connections; its types leave it open. */
interface KnexClient<C> {
  acquireConnection(): Promise<C>
  releaseConnection(connection: C): Promise<void>
}

/** knex's pool as a pool of driver connections. */
export class KnexPool<C extends object> {
  readonly #knex: Knex
  readonly #client: KnexClient<C>

  constructor(knex: Knex) {
    this.#knex = knex
    this.#client = knex.client as KnexClient<C>
  }

  /** Waits for a free connection, first come first served. */
  acquire(): Promise<C> {
    return this.#client.acquireConnection()
  }

  /** `broken`: knex throws the connection away before anybody gets it again. */
  release(connection: C, broken: boolean): void {
    if (broken) Object.assign(connection, { __knex__disposed: 'left in an unknown state' })
    void this.#client.releaseConnection(connection)
  }

  destroy(): Promise<void> {
    return this.#knex.destroy()
  }
}
