import { formatMxcUri } from '../../protocol/mxc-uri.js'
import type { Database } from '../../storage/database.js'
import type { MediaId, MediaStore } from '../../storage/stores/media.js'
import type { Clock } from '../../util/clock.js'

/** So many are written at once; what comes until then waits in memory. */
const MAX_WAITING = 5_000

/** Remembers when files were last asked for, and writes it down now and then. */
export class AccessTimes {
  readonly #db: Database
  readonly #media: MediaStore
  readonly #clock: Pick<Clock, 'now'>
  #waiting = new Map<string, MediaId & { readonly ts: number }>()
  #flushing: Promise<void> = Promise.resolve()

  constructor(deps: { db: Database; media: MediaStore; clock: Pick<Clock, 'now'> }) {
    this.#db = deps.db
    this.#media = deps.media
    this.#clock = deps.clock
  }

  note({ serverName, mediaId }: MediaId): void {
    const id = { serverName, mediaId }
    // A time less is no harm: it is written for files that have not been asked for in months.
    if (this.#waiting.size < MAX_WAITING) {
      this.#waiting.set(formatMxcUri(id), { ...id, ts: this.#clock.now() })
    }
  }

  /** Writes what waits. */
  flush(): Promise<void> {
    // What one attempt could not write is no reason for the next to fail.
    this.#flushing = this.#flushing.catch(() => undefined).then(() => this.#write())
    return this.#flushing
  }

  async #write(): Promise<void> {
    const accesses = [...this.#waiting.values()]
    this.#waiting = new Map()
    if (accesses.length > 0) await this.#db.write('touch_media', (tx) => this.#media.touch(tx, accesses))
  }
}
