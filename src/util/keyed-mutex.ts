/** Lets one task per key run at a time, the others in the order in which they came. Keys that are idle take no memory. */
export class KeyedMutex {
  /** Per key that is held: who waits. */
  readonly #queues = new Map<string, Set<() => void>>()

  /** How many keys are held. */
  get size(): number {
    return this.#queues.size
  }

  isHeld(key: string): boolean {
    return this.#queues.has(key)
  }

  /**
   * Runs `task` when nobody else holds the key. Rejects with the signal's reason when it aborts while waiting; a task
   * that has begun is not interrupted.
   */
  async run<T>(key: string, task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = await this.acquire(key, signal)
    try {
      return await task()
    } finally {
      release()
    }
  }

  /** Waits for the key. The result gives it back, and must be called; a second call does nothing. */
  async acquire(key: string, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted()
    const queue = this.#queues.get(key)
    if (queue === undefined) this.#queues.set(key, new Set())
    else await waitIn(queue, signal)
    let held = true
    return () => {
      if (held) this.#release(key)
      held = false
    }
  }

  #release(key: string): void {
    const queue = this.#queues.get(key)
    const next = queue?.values().next().value
    if (next === undefined) {
      this.#queues.delete(key)
      return
    }
    // The key goes straight to the next in line, so that nobody who comes now overtakes.
    queue?.delete(next)
    next()
  }
}

function waitIn(queue: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const enter = (): void => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }
    const onAbort = (): void => {
      queue.delete(enter)
      reject(signal?.reason as Error)
    }
    queue.add(enter)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
