import type { Query } from '../../storage/database.js'
import type { TakeoverStore } from '../../storage/stores/takeover.js'
import { missingNidOf, missingNumberOf } from './source-events.js'

/** Hands out nids for events that are referred to and not held, beyond those that earlier runs have used. */
export class MissingNids {
  #last: number

  private constructor(last: number) {
    this.#last = last
  }

  static async open(q: Query, takeover: TakeoverStore): Promise<MissingNids> {
    return new MissingNids(missingNumberOf(await takeover.largestMissingNid(q)) ?? 0)
  }

  next(): number {
    this.#last += 1
    return missingNidOf(this.#last)
  }
}
