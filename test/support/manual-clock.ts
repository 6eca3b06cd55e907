import type { Clock, Timer } from '../../src/util/clock.js'

interface PendingTimer {
  readonly at: number
  readonly order: number
  readonly fn: () => void
}

/** A clock that stands still until it is told to advance. */
export class ManualClock implements Clock {
  #now: number
  #order = 0
  readonly #timers = new Set<PendingTimer>()

  constructor(startTs = Date.UTC(2026, 0, 1)) {
    this.#now = startTs
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const timer: PendingTimer = { at: this.#now + Math.max(0, ms), order: this.#order++, fn }
    this.#timers.add(timer)
    return {
      cancel: () => {
        this.#timers.delete(timer)
      },
    }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error)
        return
      }
      const onAbort = (): void => {
        timer.cancel()
        reject(signal?.reason as Error)
      }
      const timer = this.setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, ms)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Moves on by `ms`, running every timer that falls due on the way, at its time and in order. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (let timer = this.#nextDue(until); timer !== undefined; timer = this.#nextDue(until)) {
      this.#timers.delete(timer)
      this.#now = Math.max(this.#now, timer.at)
      timer.fn()
    }
    this.#now = until
  }

  /** As `advance`, and lets promises settle around every timer, so that those who sleep in a loop get their turns. */
  async advanceAsync(ms: number): Promise<void> {
    const until = this.#now + ms
    await settle()
    for (let timer = this.#nextDue(until); timer !== undefined; timer = this.#nextDue(until)) {
      this.advance(timer.at - this.#now)
      await settle()
    }
    this.advance(until - this.#now)
    await settle()
  }

  #nextDue(until: number): PendingTimer | undefined {
    let next: PendingTimer | undefined
    for (const timer of this.#timers) {
      if (timer.at > until) continue
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer
    }
    return next
  }
}

/** Lets everything run that is ready to. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
