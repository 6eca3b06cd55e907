import type { UserId } from '../../protocol/ids.js'

interface Entry {
  readonly position: number
  readonly userId: UserId
}

const MIN_ENTRIES = 1024

/** Whose presence changed at which position since the start of the server: of each user only the last change counts. */
export class PresenceLog {
  readonly #positions = new Map<UserId, number>()
  #entries: Entry[] = []

  /** How many changes are remembered. */
  get size(): number {
    return this.#entries.length
  }

  /** Positions come in ascending order. */
  add(userId: UserId, position: number): void {
    this.#positions.set(userId, position)
    this.#entries.push({ userId, position })
    if (this.#entries.length > MIN_ENTRIES && this.#entries.length > 2 * this.#positions.size) this.#compact()
  }

  /** Who changed last in `(since, upTo]`, in that order. */
  changedUsers(since: number, upTo: number): UserId[] {
    const users: UserId[] = []
    for (let index = this.#firstAfter(since); index < this.#entries.length; index++) {
      const { userId, position } = this.#entries[index]!
      if (position > upTo) break
      if (this.#positions.get(userId) === position) users.push(userId)
    }
    return users
  }

  #firstAfter(position: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#entries[middle]!.position <= position) low = middle + 1
      else high = middle
    }
    return low
  }

  #compact(): void {
    this.#entries = this.#entries.filter(({ userId, position }) => this.#positions.get(userId) === position)
  }
}
