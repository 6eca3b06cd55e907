import { parse } from 'content-disposition'
import { MatrixError, type Errcode } from '../../protocol/errors.js'
import type { ServerName } from '../../protocol/ids.js'
import { formatMxcUri } from '../../protocol/mxc-uri.js'
import { HttpFailure } from '../../net/http-failure.js'
import type { Database } from '../../storage/database.js'
import type { MediaId, MediaRecord, MediaStore } from '../../storage/stores/media.js'
import type { Clock } from '../../util/clock.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import { FederationError } from '../remote/federation-error.js'
import type { IncomingFile, IncomingFiles } from './incoming-files.js'
import { noSuchMedia, type FoundMedia, type MediaAccess, type RemoteFetcher } from './media-finder.js'
import type { MediaKeeper } from './media-keeper.js'
import { cleanContentType, cleanFileName, notYetUploaded } from './media-names.js'
import { MultipartError } from './multipart.js'
import type { RemoteFile, RemoteMediaClient } from './remote-media-client.js'

export interface RemoteMediaDependencies {
  readonly db: Database
  readonly media: MediaStore
  readonly clock: Pick<Clock, 'now'>
  readonly client: RemoteMediaClient
  readonly incoming: IncomingFiles
  readonly keeper: MediaKeeper
  readonly rateLimits: Pick<RateLimits, 'check' | 'consume'>
}

export interface RemoteMediaOptions {
  /** Servers of which no files are fetched. */
  readonly deniedServers: ReadonlySet<ServerName>
  /** Larger files are not kept. */
  readonly maxBytes: number
  /** What is fetched is shown only to those who say who they are. */
  readonly requiresAuthentication: boolean
}

/** Fetches files of other servers, once for all who wait for them, and keeps them. */
export class RemoteMedia implements RemoteFetcher {
  readonly #deps: RemoteMediaDependencies
  readonly #options: RemoteMediaOptions
  readonly #fetches = new SingleFlight<FoundMedia>()

  constructor(deps: RemoteMediaDependencies, options: RemoteMediaOptions) {
    this.#deps = deps
    this.#options = options
  }

  /**
   * Throws `M_NOT_FOUND` where the other server has no such file or must not be asked, `M_NOT_YET_UPLOADED` where it
   * waits for it itself, `M_TOO_LARGE` (502), `M_UNKNOWN` (502) where it cannot be reached, and `M_LIMIT_EXCEEDED` where
   * too much has been fetched for this address.
   */
  async fetch(id: MediaId, access: MediaAccess): Promise<FoundMedia> {
    const { rateLimits } = this.#deps
    if (this.#options.deniedServers.has(id.serverName)) throw noSuchMedia()
    if (access.ip !== undefined) rateLimits.check('remoteMediaDownload', access.ip)
    const key = formatMxcUri(id)
    return this.#fetches.run(key, async () => {
      const found = await this.#fetch(id, access.timeoutMs)
      // It is here now: whoever has to wait finds it then.
      if (access.ip !== undefined) rateLimits.consume('remoteMediaDownload', access.ip, found.length)
      return found
    })
  }

  async #fetch(id: MediaId, timeoutMs: number): Promise<FoundMedia> {
    const { client, incoming } = this.#deps
    const { maxBytes } = this.#options
    try {
      const file = await client.open(id, { timeoutMs, maxBytes })
      try {
        const received = await incoming.receive(file.content, { maxBytes, tooLarge: contentTooLarge })
        return await this.#keep(id, file, received)
      } finally {
        file.close()
      }
    } catch (error) {
      throw toMatrixError(error)
    }
  }

  async #keep(id: MediaId, file: RemoteFile, received: IncomingFile): Promise<FoundMedia> {
    const { keeper, media, clock } = this.#deps
    return keeper.keep(received, 'remote', async (tx, fileKey) => {
      const now = clock.now()
      const record = {
        serverName: id.serverName,
        mediaId: id.mediaId,
        userId: undefined,
        fileKey,
        sha256: received.sha256,
        contentType: cleanContentType(file.contentType),
        uploadName: fileNameIn(file.contentDisposition),
        length: received.length,
        createdTs: now,
        lastAccessTs: now,
        expiresTs: undefined,
        previewUrl: undefined,
        quarantinedBy: await media.quarantinerOf(tx, received.sha256),
        isProtected: false,
        isAuthenticated: this.#options.requiresAuthentication,
      } satisfies MediaRecord
      await media.upsert(tx, record)
      return record
    })
  }
}

/** The name that a `Content-Disposition` header gives; undefined where it gives none. */
function fileNameIn(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  try {
    return cleanFileName(parse(header).parameters['filename'])
  } catch {
    return undefined
  }
}

/** What other servers say that means the same to those who ask here. */
const PASSED_ON: ReadonlySet<string> = new Set<Errcode>(['M_NOT_FOUND', 'M_NOT_YET_UPLOADED', 'M_TOO_LARGE'])

function toMatrixError(error: unknown): unknown {
  if (error instanceof FederationError) {
    if (error.errcode !== undefined && PASSED_ON.has(error.errcode)) return passedOn(error.errcode)
    if (error.kind === 'denied' || error.status === 404) return noSuchMedia()
    return isTooLarge(error.cause) ? contentTooLarge() : cannotFetch()
  }
  if (error instanceof HttpFailure || error instanceof MultipartError) {
    return isTooLarge(error) ? contentTooLarge() : cannotFetch()
  }
  // It ended early.
  return error instanceof MatrixError && error.errcode === 'M_UNKNOWN' ? cannotFetch() : error
}

function passedOn(errcode: string): MatrixError {
  if (errcode === 'M_NOT_YET_UPLOADED') return notYetUploaded()
  return errcode === 'M_TOO_LARGE' ? contentTooLarge() : noSuchMedia()
}

function isTooLarge(error: unknown): boolean {
  return error instanceof HttpFailure && error.kind === 'tooLarge'
}

function contentTooLarge(): MatrixError {
  return new MatrixError('M_TOO_LARGE', 'The content is too large to serve', { status: 502 })
}

function cannotFetch(): MatrixError {
  return new MatrixError('M_UNKNOWN', 'The content could not be fetched from its server', { status: 502 })
}
