/**
 * Up to where everything is dealt with, of a stream whose items are taken up in order and ended in any order. Positions
 * may be held several times.
 */
export class Watermark {
  /** How often each position is held; in the order in which they were taken up, which is ascending. */
  readonly #held = new Map<number, number>()
  #taken = 0

  /** Everything up to here has been taken up: what of it needs time is held. */
  advance(position: number): void {
    this.#taken = Math.max(this.#taken, position)
  }

  hold(position: number): void {
    this.#held.set(position, (this.#held.get(position) ?? 0) + 1)
  }

  release(position: number): void {
    const count = (this.#held.get(position) ?? 0) - 1
    if (count > 0) this.#held.set(position, count)
    else this.#held.delete(position)
  }

  /** Everything at or below is dealt with. */
  get position(): number {
    const oldest = this.#held.keys().next().value
    return oldest === undefined ? this.#taken : Math.min(this.#taken, oldest - 1)
  }
}
