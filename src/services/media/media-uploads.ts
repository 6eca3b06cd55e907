import type { Readable } from 'node:stream'
import { forbidden, limitExceeded, MatrixError, notFound } from '../../protocol/errors.js'
import type { ServerName } from '../../protocol/ids.js'
import { formatMxcUri } from '../../protocol/mxc-uri.js'
import type { Database, Tx } from '../../storage/database.js'
import type { MediaContent, MediaId, MediaRecord, MediaStore } from '../../storage/stores/media.js'
import type { Clock } from '../../util/clock.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import { randomToken } from '../../util/random.js'
import type { Requester } from '../accounts/requester.js'
import type { IncomingFile, IncomingFiles } from './incoming-files.js'
import type { MediaKeeper } from './media-keeper.js'
import { cleanContentType, cleanFileName } from './media-names.js'
import type { PendingUploads } from './pending-uploads.js'
import type { UploadLimits } from './upload-limits.js'

/** A file on its way here. */
export interface Upload {
  readonly stream: Readable
  /** In bytes, where the sender says so before. */
  readonly announcedLength: number | undefined
  readonly contentType: string | undefined
  readonly fileName: string | undefined
}

export interface MediaUploadsOptions {
  readonly serverName: ServerName
  /** New files are shown only to those who say who they are. */
  readonly requiresAuthentication: boolean
  /** Files that a user may have announced and not yet uploaded. */
  readonly maxPending: number
  /** After which what was announced can no longer be uploaded. */
  readonly unusedExpirationMs: number
}

export interface MediaUploadsDependencies {
  readonly db: Database
  readonly media: MediaStore
  readonly clock: Clock
  readonly incoming: IncomingFiles
  readonly keeper: MediaKeeper
  readonly limits: UploadLimits
  readonly pending: PendingUploads
}

/** Takes files from users. https://spec.matrix.org/latest/client-server-api/#content-repository */
export class MediaUploads {
  readonly #deps: MediaUploadsDependencies
  readonly #options: MediaUploadsOptions
  /** Nobody gets past a limit by doing things at the same time. */
  readonly #users = new KeyedMutex()

  constructor(deps: MediaUploadsDependencies, options: MediaUploadsOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** The largest file that may be uploaded, in bytes. */
  get maxUploadSize(): number {
    return this.#deps.limits.maxUploadSize
  }

  /**
   * Announces a file. Gives its URI, and until when it must have been uploaded. Throws `M_LIMIT_EXCEEDED` when the user
   * has announced too many, `M_FORBIDDEN` where they have uploaded as much as they may.
   */
  async create(requester: Requester): Promise<{ uri: string; expiresTs: number }> {
    const { db, media, clock, limits } = this.#deps
    await limits.check(requester.userId, 1)
    const now = clock.now()
    const record = {
      ...this.#newRecord(requester),
      expiresTs: now + this.#options.unusedExpirationMs,
    }
    const create = async (tx: Tx): Promise<void> => {
      const { count, firstExpiryTs } = await media.pendingOf(tx, requester.userId, now)
      if (count >= this.#options.maxPending) throw limitExceeded((firstExpiryTs ?? now) - now)
      await media.insert(tx, record)
    }
    await this.#users.run(requester.userId, () => db.write('create_media', create))
    return { uri: formatMxcUri(record), expiresTs: record.expiresTs }
  }

  /** Takes a file and gives its URI. Throws `M_TOO_LARGE`, or `M_FORBIDDEN` where the user has uploaded too much. */
  async upload(requester: Requester, upload: Upload): Promise<string> {
    const record = this.#newRecord(requester)
    await this.#take(requester, upload, async (tx, content) => {
      const { media } = this.#deps
      const quarantinedBy = await media.quarantinerOf(tx, content.sha256)
      await media.insert(tx, { ...record, ...content, quarantinedBy })
    })
    return formatMxcUri(record)
  }

  /**
   * Takes a file that was announced. Throws `M_NOT_FOUND` where it was not, or too long ago; `M_FORBIDDEN` for others
   * than who announced it; `M_CANNOT_OVERWRITE_MEDIA` when it has come before; and what `upload` throws.
   */
  async uploadTo(requester: Requester, id: MediaId, upload: Upload): Promise<void> {
    const { db, media, clock } = this.#deps
    const record = await media.get(db.reader, id)
    if (record === undefined || id.serverName !== this.#options.serverName) throw unknownMedia()
    if (record.userId !== requester.userId) throw forbidden('Somebody else has created this media ID')
    if (record.fileKey !== undefined) throw cannotOverwrite()
    if (record.expiresTs !== undefined && record.expiresTs <= clock.now()) throw unknownMedia()
    await this.#take(requester, upload, async (tx, content) => {
      if (!(await media.fill(tx, id, content))) throw cannotOverwrite()
      await media.inheritQuarantine(tx, id, content.sha256)
    })
    this.#deps.pending.arrived(id)
  }

  async #take(
    requester: Requester,
    upload: Upload,
    write: (tx: Tx, content: MediaContent) => Promise<void>,
  ): Promise<void> {
    const { incoming, limits, keeper } = this.#deps
    const { stream, announcedLength = 0 } = upload
    if (announcedLength > limits.maxUploadSize) throw limits.tooLarge()
    await limits.check(requester.userId, announcedLength)
    const file = await incoming.receive(stream, {
      maxBytes: limits.maxUploadSize,
      tooLarge: () => limits.tooLarge(),
    })
    await this.#users.run(requester.userId, async () => {
      try {
        // Again: others may have come in the meantime, or it has become another length than was said.
        await limits.check(requester.userId, file.length)
      } catch (error) {
        await incoming.remove(file.path)
        throw error
      }
      await keeper.keep(file, 'local', (tx, fileKey) => write(tx, contentOf(upload, file, fileKey)))
    })
  }

  #newRecord({ userId }: Requester): MediaRecord {
    const now = this.#deps.clock.now()
    return {
      serverName: this.#options.serverName,
      mediaId: randomToken(),
      userId,
      fileKey: undefined,
      sha256: undefined,
      contentType: undefined,
      uploadName: undefined,
      length: undefined,
      createdTs: now,
      lastAccessTs: now,
      expiresTs: undefined,
      previewUrl: undefined,
      quarantinedBy: undefined,
      isProtected: false,
      isAuthenticated: this.#options.requiresAuthentication,
    }
  }
}

function contentOf(upload: Upload, { sha256, length }: IncomingFile, fileKey: string): MediaContent {
  const contentType = cleanContentType(upload.contentType)
  return { fileKey, sha256, length, contentType, uploadName: cleanFileName(upload.fileName) }
}

function unknownMedia(): MatrixError {
  return notFound('There is no such media ID, or it has expired')
}

function cannotOverwrite(): MatrixError {
  return new MatrixError('M_CANNOT_OVERWRITE_MEDIA', 'This media ID already has content')
}
