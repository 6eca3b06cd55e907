import type { Database } from '../../storage/database.js'
import type { MediaStore } from '../../storage/stores/media.js'
import type { UrlPreviewsStore } from '../../storage/stores/url-previews.js'
import type { Clock } from '../../util/clock.js'
import type { IncomingFiles } from './incoming-files.js'
import type { AccessTimes } from './access-times.js'
import type { MediaDeletion } from './media-deletion.js'

export interface MediaRetentionDependencies {
  readonly db: Database
  readonly media: MediaStore
  readonly previews: UrlPreviewsStore
  readonly clock: Pick<Clock, 'now'>
  readonly incoming: IncomingFiles
  readonly accesses: AccessTimes
  readonly deletion: MediaDeletion
}

export interface MediaRetentionOptions {
  /** After which files go that nobody has asked for; undefined: never. */
  readonly localLifetimeMs: number | undefined
  readonly remoteLifetimeMs: number | undefined
}

const DAY_MS = 24 * 60 * 60_000
/** Clients show a preview for some time after they have asked for it. */
const PREVIEW_PICTURE_MS = 2 * DAY_MS

/** Lets go of what nobody needs any more. */
export class MediaRetention {
  readonly #deps: MediaRetentionDependencies
  readonly #options: MediaRetentionOptions

  constructor(deps: MediaRetentionDependencies, options: MediaRetentionOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** Once; ends early when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { db, media, previews, clock, incoming, accesses, deletion } = this.#deps
    const { localLifetimeMs, remoteLifetimeMs } = this.#options
    const now = clock.now()
    // What has been asked for a moment ago counts.
    await accesses.flush()
    await incoming.removeStale(now - DAY_MS)
    await db.write('expire_pending_media', (tx) => media.deleteExpired(tx, now))
    await db.write('expire_url_previews', (tx) => previews.deleteExpired(tx, now))
    await deletion.deletePreviewPictures(now - PREVIEW_PICTURE_MS, signal)
    if (remoteLifetimeMs !== undefined) await deletion.deleteRemote(now - remoteLifetimeMs, signal)
    if (localLifetimeMs !== undefined) {
      await deletion.deleteLocal({ accessedBefore: now - localLifetimeMs, sparesLasting: true, signal })
    }
  }
}
