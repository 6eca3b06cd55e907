import { forbidden, tooLarge, type MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { MediaStore } from '../../storage/stores/media.js'
import type { Clock } from '../../util/clock.js'

/** How many bytes a user may upload within some time. */
export interface UploadLimit {
  readonly periodMs: number
  readonly maxBytes: number
}

export interface UploadLimitsDependencies {
  readonly db: Database
  readonly media: MediaStore
  readonly clock: Pick<Clock, 'now'>
  /** Of one file, in bytes. */
  readonly maxUploadSize: number
  readonly limits: readonly UploadLimit[]
}

/** How much may be uploaded. */
export class UploadLimits {
  readonly #deps: UploadLimitsDependencies

  constructor(deps: UploadLimitsDependencies) {
    this.#deps = deps
  }

  /** The largest file, in bytes. */
  get maxUploadSize(): number {
    return this.#deps.maxUploadSize
  }

  /** What is thrown for larger ones. */
  tooLarge(): MatrixError {
    return tooLarge(`The file is larger than ${this.#deps.maxUploadSize} bytes`)
  }

  /** Throws `M_FORBIDDEN` when the user may not upload so many bytes more now. */
  async check(userId: UserId, length: number): Promise<void> {
    const { db, media, clock, limits } = this.#deps
    for (const { periodMs, maxBytes } of limits) {
      const uploaded = await media.uploadedSince(db.reader, userId, clock.now() - periodMs)
      if (uploaded + length > maxBytes) throw forbidden('You have uploaded as much as you may at the moment')
    }
  }
}
