/**
 * Where in a stream each of many keys last changed, in memory: tells without a query that nothing has changed. Bounded;
 * what it has forgotten counts as changed. Only right in the process that writes the stream.
 */
export class RecentChanges<K> {
  readonly #positions = new Map<K, number>()
  readonly #max: number
  /** Of keys that are not in the map nothing is known up to here; after it they have not changed. */
  #floor: number

  /** `position`: of the stream now; nothing is known of what came before. */
  constructor(position: number, options: { max: number }) {
    this.#floor = position
    this.#max = options.max
  }

  /** Call it after the commit. */
  record(key: K, position: number): void {
    // Moved to the end: the map's order is that of the last changes.
    this.#positions.delete(key)
    this.#positions.set(key, position)
    if (this.#positions.size <= this.#max) return
    const [oldest, at] = this.#positions.entries().next().value!
    this.#positions.delete(oldest)
    this.#floor = Math.max(this.#floor, at)
  }

  /** False when the key has certainly not changed after `since`. */
  mayHaveChanged(key: K, since: number): boolean {
    return (this.#positions.get(key) ?? this.#floor) > since
  }
}
