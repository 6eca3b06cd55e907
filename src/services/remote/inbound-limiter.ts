import type { InboundLimits } from '../../config/sections/federation.js'
import { limitExceeded } from '../../protocol/errors.js'
import type { Clock } from '../../util/clock.js'

interface Origin {
  /** When its requests of the window came, oldest first. */
  readonly times: number[]
  running: number
  /** Those that sleep, and those that wait for their turn. */
  sleeping: number
  readonly waiting: (() => void)[]
}

/**
 * Keeps single servers from taking all the time of this one: of each so many requests are answered at once, those that
 * come too fast are slowed down, and when too many wait others are refused.
 */
export class InboundLimiter {
  readonly #limits: InboundLimits
  readonly #clock: Pick<Clock, 'now' | 'sleep'>
  readonly #origins = new Map<string, Origin>()

  constructor(limits: InboundLimits, clock: Pick<Clock, 'now' | 'sleep'>) {
    this.#limits = limits
    this.#clock = clock
  }

  /** How many servers are remembered. */
  get size(): number {
    return this.#origins.size
  }

  /** Runs a request of a server when it is its turn. Throws `M_LIMIT_EXCEEDED` when too many wait. */
  async run<T>(serverName: string, request: () => Promise<T>): Promise<T> {
    const origin = this.#originOf(serverName)
    await this.#enter(origin)
    try {
      return await request()
    } finally {
      const next = origin.waiting.shift()
      // The place goes straight to the next in line.
      if (next === undefined) origin.running -= 1
      else next()
      this.#forgetIdle(serverName, origin)
    }
  }

  async #enter(origin: Origin): Promise<void> {
    const { windowMs, sleepLimit, sleepDelayMs, rejectLimit, concurrent } = this.#limits
    const now = this.#clock.now()
    while (origin.times.length > 0 && origin.times[0]! <= now - windowMs) origin.times.shift()
    if (origin.sleeping + origin.waiting.length >= rejectLimit) {
      throw limitExceeded(Math.max(windowMs, sleepDelayMs))
    }
    origin.times.push(now)
    if (origin.times.length > sleepLimit && sleepDelayMs > 0) {
      origin.sleeping += 1
      try {
        await this.#clock.sleep(sleepDelayMs)
      } finally {
        origin.sleeping -= 1
      }
    }
    if (origin.running < concurrent) origin.running += 1
    else await new Promise<void>((resolve) => origin.waiting.push(resolve))
  }

  #originOf(serverName: string): Origin {
    let origin = this.#origins.get(serverName)
    if (origin === undefined) {
      origin = { times: [], running: 0, sleeping: 0, waiting: [] }
      this.#origins.set(serverName, origin)
    }
    return origin
  }

  /** What was counted of an idle server is over soon: it is remembered while it may still matter. */
  #forgetIdle(serverName: string, origin: Origin): void {
    const newest = origin.times.at(-1) ?? 0
    if (origin.running + origin.sleeping + origin.waiting.length > 0) return
    if (newest <= this.#clock.now() - this.#limits.windowMs || this.#origins.size > MAX_IDLE) {
      this.#origins.delete(serverName)
    }
  }
}

const MAX_IDLE = 10_000
