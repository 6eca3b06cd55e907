interface Waiting<T> {
  readonly item: T
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Does many things at once where one at a time would do: whatever is added while a batch is on its way makes the next
 * one, in the order in which it came. When a batch fails, its items are tried one by one, so that none suffers for
 * another.
 */
export class Batcher<T> {
  readonly #run: (items: readonly T[]) => Promise<void>
  readonly #maxItems: number
  #queue: Waiting<T>[] = []
  #running: Promise<void> | undefined

  /** `run` does what is to be done with items, all or nothing. */
  constructor(run: (items: readonly T[]) => Promise<void>, options: { maxItems: number }) {
    this.#run = run
    this.#maxItems = options.maxItems
  }

  /** Resolves when the item's batch is done; rejects with the error of `run`. */
  add(item: T): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject })
      this.#running ??= this.#work().finally(() => (this.#running = undefined))
    })
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    while (this.#running) await this.#running
  }

  async #work(): Promise<void> {
    // Lets those who are about to add something in this turn join the first batch.
    await Promise.resolve()
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, this.#maxItems)
      try {
        await this.#run(batch.map(({ item }) => item))
        for (const waiting of batch) waiting.resolve()
      } catch (error) {
        if (batch.length === 1) batch[0]!.reject(error)
        else await this.#runOneByOne(batch)
      }
    }
  }

  async #runOneByOne(batch: readonly Waiting<T>[]): Promise<void> {
    for (const waiting of batch) {
      try {
        await this.#run([waiting.item])
        waiting.resolve()
      } catch (error) {
        waiting.reject(error)
      }
    }
  }
}
