import { forbidden, MatrixError, tooLarge } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { MediaStore } from '../../storage/stores/media.js'
import type { Clock } from '../../util/clock.js'

/** How many bytes a user may upload within some time. */
export interface UploadLimit {
  readonly periodMs: number
  readonly maxBytes: number
  /** Where people are told about the limit; undefined: nowhere. */
  readonly infoUri: string | undefined
  /** They can have it raised there. */
  readonly canUpgrade: boolean
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

  /**
   * Throws `M_USER_LIMIT_EXCEEDED` when the user may not upload so many bytes more now, `M_FORBIDDEN` where that has no
   * explanation. https://spec.matrix.org/latest/client-server-api/#common-error-codes
   */
  async check(userId: UserId, length: number): Promise<void> {
    const { db, media, clock, limits } = this.#deps
    for (const limit of limits) {
      const { periodMs, maxBytes } = limit
      const uploaded = await media.uploadedSince(db.reader, userId, clock.now() - periodMs)
      if (uploaded + length > maxBytes) throw exceeded(limit)
    }
  }
}

function exceeded({ infoUri, canUpgrade }: UploadLimit): MatrixError {
  const message = 'You have uploaded as much as you may at the moment'
  if (infoUri === undefined) return forbidden(message)
  const fields = { info_uri: infoUri, can_upgrade: canUpgrade }
  return new MatrixError('M_USER_LIMIT_EXCEEDED', message, { status: 403, fields })
}
