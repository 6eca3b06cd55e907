import { formatMxcUri } from '../../protocol/mxc-uri.js'
import type { MediaId } from '../../storage/stores/media.js'
import type { Clock } from '../../util/clock.js'

/** Lets those wait who ask for a file that has been announced and not yet uploaded. */
export class PendingUploads {
  readonly #clock: Clock
  readonly #waiting = new Map<string, Set<() => void>>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many wait. */
  get size(): number {
    return [...this.#waiting.values()].reduce((sum, waiting) => sum + waiting.size, 0)
  }

  /** Says that a file has come. */
  arrived(id: MediaId): void {
    for (const wake of this.#waiting.get(formatMxcUri(id)) ?? []) wake()
  }

  /** Resolves when the file comes, when the time is over, or when the signal aborts. */
  wait(id: MediaId, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const key = formatMxcUri(id)
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(key) ?? new Set()
      const done = (): void => {
        timer.cancel()
        signal?.removeEventListener('abort', done)
        waiting.delete(done)
        if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key)
        resolve()
      }
      const timer = this.#clock.setTimeout(done, timeoutMs)
      this.#waiting.set(key, waiting)
      waiting.add(done)
      signal?.addEventListener('abort', done, { once: true })
      if (signal?.aborted === true) done()
    })
  }
}
