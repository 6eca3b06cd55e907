import { limitExceeded } from '../protocol/errors.js'

/** What one request may take before it counts: most need less, and none of these is ever refused for the sake of others. */
const FREE_BYTES = 1024 * 1024
/** The bytes as they came, their text, its canonical form, and what that is joined from. */
const COPIES = 4
/** What a value or a name takes that has been parsed, at its worst. */
const BYTES_PER_PART = 64
const RETRY_AFTER_MS = 10_000

/** A share of the memory for bodies, of one request. Both throw `M_LIMIT_EXCEEDED` where all requests take too much. */
export interface BodyLease {
  /** So many bytes more have come. */
  takeBytes(count: number): void
  /** So many values and names are about to be made of them. */
  takeParts(count: number): void
  /** Nobody needs the body any more. */
  giveBack(): void
}

/**
 * Bounds the memory that the bodies of all requests take together which have to be read before it is known who sends them:
 * each may be large, and anybody can send any number of them at once.
 */
export class BodyBudget {
  readonly #maxBytes: number
  #taken = 0

  /** @param maxBytes of all bodies together, beyond the first MiB of each */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** A share for a request that has yet to be read. */
  lease(): BodyLease {
    let size = 0
    let counted = 0
    const take = (bytes: number): void => {
      const more = Math.max(0, size + bytes - FREE_BYTES) - counted
      if (more > 0 && this.#taken + more > this.#maxBytes) throw limitExceeded(RETRY_AFTER_MS)
      this.#taken += more
      size += bytes
      counted += more
    }
    return {
      takeBytes: (count) => take(count * COPIES),
      takeParts: (count) => take(count * BYTES_PER_PART),
      giveBack: () => {
        this.#taken -= counted
        size = 0
        counted = 0
      },
    }
  }
}
