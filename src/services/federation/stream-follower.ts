interface StreamFollowerOptions {
  /** Up to where the stream can be read. */
  readonly position: () => number
  /** Deals with everything after one position, up to and including another. What fails is tried again with what follows. */
  readonly take: (after: number, upTo: number) => Promise<void>
  readonly onError: (error: unknown) => void
}

/** Takes a stream as it grows, one stretch at a time. */
export class StreamFollower {
  readonly #options: StreamFollowerOptions
  #position: number | undefined
  #running: Promise<void> | undefined
  #stopped = false

  constructor(options: StreamFollowerOptions) {
    this.#options = options
  }

  /** Begins after a position. */
  start(position: number): void {
    this.#position = position
    this.kick()
  }

  /** Resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  /** The stream may have grown. */
  kick(): void {
    if (this.#stopped || this.#running !== undefined || !this.#isBehind()) return
    this.#running = this.#step().then(
      () => {
        this.#running = undefined
        this.kick()
      },
      (error: unknown) => {
        this.#running = undefined
        this.#options.onError(error)
      },
    )
  }

  #isBehind(): boolean {
    return this.#position !== undefined && this.#position < this.#options.position()
  }

  async #step(): Promise<void> {
    const upTo = this.#options.position()
    await this.#options.take(this.#position ?? upTo, upTo)
    this.#position = upTo
  }
}
