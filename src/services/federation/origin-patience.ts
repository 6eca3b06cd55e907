import { LRUCache } from 'lru-cache'
import type { ServerName } from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'
import { upTo } from '../../util/lru-bounds.js'

const MAX_REMEMBERED = 10_000
/** Who says so fast that it does not help holds up nobody. */
const QUICK_MS = 500
/** A server that explains nothing has a fifth of a room's time at most. */
const PAUSE_FACTOR = 4
/** One that explains but takes longer than this has half of it. */
const SLOW_MS = 10_000
const MAX_PAUSE_MS = 60 * 60_000

/**
 * Keeps servers from holding up a room: while one is asked for what its event refers to, all others that have sent
 * something there wait. Who was asked in vain is not asked again for the room until four times as long has passed; who
 * answered, but slowly, until as long has passed.
 */
export class OriginPatience {
  readonly #clock: Pick<Clock, 'now'>
  /** Until when nobody is asked, by room and server. */
  readonly #pauses = new LRUCache<string, number>(upTo(MAX_REMEMBERED))

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  mayAsk(roomNid: number, origin: ServerName): boolean {
    return this.#clock.now() >= (this.#pauses.get(keyOf(roomNid, origin)) ?? 0)
  }

  /** Runs what asks the server, which gives whether that has helped. */
  async ask(roomNid: number, origin: ServerName, run: () => Promise<boolean>): Promise<void> {
    const begin = this.#clock.now()
    const key = keyOf(roomNid, origin)
    const [limit, factor] = (await run()) ? [SLOW_MS, 1] : [QUICK_MS, PAUSE_FACTOR]
    const end = this.#clock.now()
    const took = end - begin
    if (took > limit) this.#pauses.set(key, end + Math.min(MAX_PAUSE_MS, factor * took))
    else if (factor === 1) this.#pauses.delete(key)
  }
}

function keyOf(roomNid: number, origin: ServerName): string {
  return `${roomNid} ${origin}`
}
