/** Answers identical questions that are asked at the same time once. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Promise<T>>()

  /** How many questions are on their way. */
  get size(): number {
    return this.#flights.size
  }

  /** The running task's outcome; undefined where none runs. */
  peek(key: string): Promise<T> | undefined {
    return this.#flights.get(key)
  }

  /** The running task's outcome where there is one for the key (also its failure), else that of `task`. */
  run(key: string, task: () => Promise<T>): Promise<T> {
    const running = this.#flights.get(key)
    if (running !== undefined) return running
    const flight = startTask(task)
    this.#flights.set(key, flight)
    const land = (): void => {
      this.#flights.delete(key)
    }
    flight.then(land, land)
    return flight
  }
}

/** What a task throws before it has given a promise is a failure like any other. */
async function startTask<T>(task: () => Promise<T>): Promise<T> {
  return task()
}
