import { notFound, type MatrixError } from '../../protocol/errors.js'
import type { ServerName } from '../../protocol/ids.js'
import { isMediaId } from '../../protocol/mxc-uri.js'
import type { Database } from '../../storage/database.js'
import type { MediaId, MediaRecord, MediaStore } from '../../storage/stores/media.js'
import type { Clock } from '../../util/clock.js'
import type { AccessTimes } from './access-times.js'
import { notYetUploaded } from './media-names.js'
import type { PendingUploads } from './pending-uploads.js'

/** How somebody asks for a file. */
export interface MediaAccess {
  /** They have said who they are: with an access token, or as a server. */
  readonly isAuthenticated: boolean
  /** Files of other servers are fetched where they are not here. */
  readonly allowRemote: boolean
  /** How long to wait for what has been announced and not yet uploaded. */
  readonly timeoutMs: number
  /** From where it is asked, for limits of what is fetched; undefined: no limits. */
  readonly ip?: string | undefined
  /** Files in quarantine too, for server administrators. */
  readonly seesQuarantined?: boolean
  readonly signal?: AbortSignal | undefined
}

/** A file whose content is here. */
export type FoundMedia = MediaRecord & { readonly fileKey: string; readonly length: number }

/** Brings files of other servers here. */
export interface RemoteFetcher {
  fetch(id: MediaId, access: MediaAccess): Promise<FoundMedia>
}

export interface MediaFinderDependencies {
  readonly db: Database
  readonly media: MediaStore
  readonly clock: Clock
  readonly pending: PendingUploads
  readonly accesses: AccessTimes
  readonly remote: RemoteFetcher
}

export interface MediaFinderOptions {
  readonly serverName: ServerName
  /** Files that are marked so are shown only to those who say who they are. */
  readonly requiresAuthentication: boolean
}

/** Finds files for those who may see them. */
export class MediaFinder {
  readonly #deps: MediaFinderDependencies
  readonly #options: MediaFinderOptions

  constructor(deps: MediaFinderDependencies, options: MediaFinderOptions) {
    this.#deps = deps
    this.#options = options
  }

  /**
   * Throws `M_NOT_FOUND` for what is not there, is in quarantine, or needs a token; `M_NOT_YET_UPLOADED` when the wait
   * for what has been announced was in vain; and what fetching from other servers throws.
   */
  async find(id: MediaId, access: MediaAccess): Promise<FoundMedia> {
    if (!isMediaId(id.mediaId)) throw noSuchMedia()
    const found =
      id.serverName === this.#options.serverName
        ? await this.#local(id, access)
        : await this.#remote(id, access)
    this.#deps.accesses.note(id)
    return found
  }

  /** A file of this server. Throws as `find` does. */
  async #local(id: MediaId, access: MediaAccess): Promise<FoundMedia> {
    const record = await this.#get(id)
    if (record === undefined) throw noSuchMedia()
    if (isFound(record)) return this.#checked(record, access)
    const remainingMs = (record.expiresTs ?? 0) - this.#deps.clock.now()
    if (remainingMs <= 0) throw noSuchMedia()
    await this.#deps.pending.wait(id, Math.min(access.timeoutMs, remainingMs), access.signal)
    const uploaded = await this.#get(id)
    if (uploaded === undefined || !isFound(uploaded)) throw notYetUploaded()
    return this.#checked(uploaded, access)
  }

  async #remote(id: MediaId, access: MediaAccess): Promise<FoundMedia> {
    const record = await this.#get(id)
    if (record !== undefined && isFound(record)) return this.#checked(record, access)
    // What is fetched now is new, and so needs a token.
    const needsToken = this.#options.requiresAuthentication && !access.isAuthenticated
    if (!access.allowRemote || needsToken) throw noSuchMedia()
    return this.#checked(await this.#deps.remote.fetch(id, access), access)
  }

  #get(id: MediaId): Promise<MediaRecord | undefined> {
    return this.#deps.media.get(this.#deps.db.reader, id)
  }

  #checked(record: FoundMedia, { isAuthenticated, seesQuarantined }: MediaAccess): FoundMedia {
    if (record.quarantinedBy !== undefined && seesQuarantined !== true) throw noSuchMedia()
    if (record.isAuthenticated && this.#options.requiresAuthentication && !isAuthenticated)
      throw noSuchMedia()
    return record
  }
}

/** True for files whose content is here. */
function isFound(record: MediaRecord): record is FoundMedia {
  return record.fileKey !== undefined && record.length !== undefined
}

export function noSuchMedia(): MatrixError {
  return notFound('There is no such media')
}
