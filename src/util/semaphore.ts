/** Lets at most `limit` tasks run at a time; the others wait in the order in which they came. */
export class Semaphore {
  readonly #limit: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** How many tasks wait. */
  get queueLength(): number {
    return this.#waiting.length
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#enter()
    if (turn) await turn
    try {
      return await task()
    } finally {
      this.#leave()
    }
  }

  /** For a task that runs: others may have its place while it waits for something else, after which it gets one again. */
  async release<T>(wait: () => Promise<T>): Promise<T> {
    this.#leave()
    try {
      return await wait()
    } finally {
      await this.#enter()
    }
  }

  /** Undefined where there is a place at once. */
  #enter(): Promise<void> | undefined {
    if (this.#running >= this.#limit) return new Promise((resolve) => this.#waiting.push(resolve))
    this.#running += 1
    return undefined
  }

  #leave(): void {
    // The place goes straight to the next in line, so that nobody who comes now overtakes.
    const next = this.#waiting.shift()
    if (next === undefined) this.#running -= 1
    else next()
  }
}
