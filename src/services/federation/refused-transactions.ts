import type { OutboxPart } from './destination-backlog.js'

/**
 * What the next transaction has: `all` that waits; the outbox alone, or all but the outbox; or `nothing`, which every
 * server takes that takes any transaction.
 */
export type Turn = 'all' | 'rest' | 'outbox' | 'nothing'

/** By how much fewer it is tried each time. */
const FACTOR = 10

/**
 * Finds out what of the outbox a destination refuses transactions for. The specification has a sender wait until a
 * transaction is taken, and a server that finds something wrong with an EDU take the rest; but some refuse all of it, or
 * what is in front of them does, for its size. What has to arrive would then hold back everything behind it until it is
 * too old. So the outbox goes apart from the rest, less of it each time; what is refused on its own, where a transaction
 * with nothing in it is taken, will never arrive and is given up.
 */
export class RefusedTransactions {
  readonly #maxEdus: number
  #max: number
  #turn: Turn = 'all'
  #suspect: OutboxPart | undefined

  constructor(maxEdus: number) {
    this.#maxEdus = maxEdus
    this.#max = maxEdus
  }

  get turn(): Turn {
    return this.#turn
  }

  /** How much of the outbox a transaction may have. */
  get max(): number {
    return this.#max
  }

  /** There was nothing to be sent in this turn. */
  skip(): void {
    if (this.#turn === 'rest') this.#turn = 'outbox'
    else if (this.#turn === 'outbox') this.#end()
  }

  /** A transaction with this of the outbox was refused, more than once if it has any other content. */
  refused(outbox: OutboxPart): void {
    const { length } = outbox.edus
    switch (this.#turn) {
      case 'all':
        if (length === 0) return
        this.#max = Math.ceil(length / FACTOR)
        this.#turn = 'rest'
        return
      case 'rest':
        this.#turn = 'outbox'
        return
      case 'outbox':
        this.#max = Math.ceil(length / FACTOR)
        this.#suspect = length === 1 ? outbox : undefined
        this.#turn = length === 1 ? 'nothing' : 'rest'
        return
      case 'nothing':
        // It takes nothing at all: what it was sent is not to blame.
        this.#suspect = undefined
        this.#turn = 'rest'
    }
  }

  /** A transaction was taken. Gives what of the outbox is to be given up. */
  taken(): OutboxPart | undefined {
    const suspect = this.#suspect
    this.#suspect = undefined
    if (this.#turn === 'outbox') {
      this.#max *= FACTOR
      if (this.#max >= this.#maxEdus) this.#end()
      else this.#turn = 'rest'
    } else if (this.#turn === 'rest') this.#turn = 'outbox'
    else if (this.#turn === 'nothing') this.#turn = 'rest'
    return suspect
  }

  #end(): void {
    this.#turn = 'all'
    this.#max = this.#maxEdus
  }
}
