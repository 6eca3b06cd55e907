import type { AntispamClient } from '../../net/clients/antispam-client.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject } from '../../util/json.js'
import { randomToken } from '../../util/random.js'

const PAUSE_MS = 5_000
const ID_LENGTH = 8

/** Greets the services that want that when the server starts (`do_ping`), until they answer. */
export class AntispamPings {
  readonly #clients: readonly Pick<AntispamClient, 'ask'>[]
  readonly #clock: Pick<Clock, 'sleep'>
  readonly #logger: Pick<Logger, 'info' | 'warn'>
  readonly #stopping = new AbortController()

  constructor(
    clients: readonly Pick<AntispamClient, 'ask'>[],
    parts: { readonly clock: Pick<Clock, 'sleep'>; readonly logger: Pick<Logger, 'info' | 'warn'> },
  ) {
    this.#clients = clients
    this.#clock = parts.clock
    this.#logger = parts.logger
  }

  start(): void {
    for (const client of this.#clients) void this.#greet(client)
  }

  stop(): void {
    this.#stopping.abort()
  }

  #isStopped(): boolean {
    return this.#stopping.signal.aborted
  }

  async #greet(client: Pick<AntispamClient, 'ask'>): Promise<void> {
    while (!this.#isStopped()) {
      try {
        await ping(client)
        this.#logger.info('A service that says what is spam has answered')
        return
      } catch (error) {
        if (this.#isStopped()) return
        const reason = (error as Error).message
        this.#logger.warn({ reason }, 'A service that is to say what is spam does not answer as it should')
      }
      await this.#clock.sleep(PAUSE_MS, this.#stopping.signal).catch(() => undefined)
    }
  }
}

/** Rejects where the service does not answer as it should. */
export async function ping(client: Pick<AntispamClient, 'ask'>): Promise<void> {
  const id = randomToken(ID_LENGTH)
  const verdict = await client.ask('ping', { id })
  const answer = verdict.isSpam ? verdict.body : verdict.answer
  if (verdict.isSpam || !isJsonObject(answer) || answer['id'] !== id || answer['status'] !== 'ok') {
    throw new Error('the ping comes back as something else')
  }
}
