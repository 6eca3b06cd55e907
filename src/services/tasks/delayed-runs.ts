import type { Clock, Timer } from '../../util/clock.js'

export interface DelayedRunsOptions {
  readonly clock: Clock
  /** A run begins this long after the first reason for it, and answers all that have come by then. */
  readonly delayMs: number
  /** Ends soon after the signal aborts. */
  readonly run: (signal: AbortSignal) => Promise<void>
  /** Called with what a run fails with; the next reason starts another. */
  readonly onError: (error: unknown) => void
}

/** Work that follows from what happens often, done a little later for all of it together, never twice at a time. */
export class DelayedRuns {
  readonly #options: DelayedRunsOptions
  readonly #stopping = new AbortController()
  #timer: Timer | undefined
  #running: Promise<void> | undefined
  #isWanted = false

  constructor(options: DelayedRunsOptions) {
    this.#options = options
  }

  /** There is a reason to run. */
  schedule(): void {
    if (this.#stopping.signal.aborted) return
    if (this.#running !== undefined) this.#isWanted = true
    else this.#timer ??= this.#options.clock.setTimeout(() => this.#begin(), this.#options.delayMs)
  }

  /** Begins nothing any more; resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#timer?.cancel()
    await this.#running
  }

  #begin(): void {
    this.#timer = undefined
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (!this.#isWanted) return
      this.#isWanted = false
      this.schedule()
    })
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    try {
      await this.#options.run(signal)
    } catch (error) {
      if (!signal.aborted) this.#options.onError(error)
    }
  }
}
