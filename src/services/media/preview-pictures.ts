import { MatrixError } from '../../protocol/errors.js'
import type { ServerName } from '../../protocol/ids.js'
import { formatMxcUri } from '../../protocol/mxc-uri.js'
import type { MediaRecord, MediaStore } from '../../storage/stores/media.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { randomToken } from '../../util/random.js'
import type { ImageFacts } from './image-inspection.js'
import type { IncomingFile, IncomingFiles } from './incoming-files.js'
import type { Inspector } from './inspector.js'
import type { MediaKeeper } from './media-keeper.js'
import { toMatrixError, type FetchedResource, type PageFetcher } from './page-fetcher.js'

export interface PreviewPicturesDependencies {
  readonly media: MediaStore
  readonly clock: Pick<Clock, 'now'>
  readonly fetcher: PageFetcher
  readonly incoming: IncomingFiles
  readonly keeper: MediaKeeper
  readonly images: Pick<Inspector, 'image'>
}

export interface PreviewPicturesOptions {
  readonly serverName: ServerName
  readonly maxBytes: number
  /** They are shown only to those who say who they are. */
  readonly requiresAuthentication: boolean
}

const ACCEPT = 'image/avif, image/webp, image/png, image/jpeg, image/gif, image/*;q=0.5'

/** Fetches pictures of pages and keeps them as files of this server. */
export class PreviewPictures {
  readonly #deps: PreviewPicturesDependencies
  readonly #options: PreviewPicturesOptions

  constructor(deps: PreviewPicturesDependencies, options: PreviewPicturesOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** As properties of OpenGraph; none where there is no picture, whatever the reason. */
  async fetch(url: string, pageUrl: string): Promise<JsonObject> {
    if (!URL.canParse(url)) return {}
    try {
      return await this.keep(await this.#deps.fetcher.fetch(new URL(url), ACCEPT), pageUrl)
    } catch (error) {
      if (error instanceof MatrixError) return {}
      throw error
    }
  }

  /** Keeps what has been fetched if it is a picture, and gives its properties; none if it is not. */
  async keep({ body }: FetchedResource, pageUrl: string): Promise<JsonObject> {
    const { incoming, images } = this.#deps
    const { maxBytes } = this.#options
    let file: IncomingFile
    try {
      file = await incoming.receive(body, {
        maxBytes,
        tooLarge: () => new MatrixError('M_TOO_LARGE', 'Too large'),
      })
    } catch (error) {
      throw toMatrixError(error)
    } finally {
      body.destroy()
    }
    const facts = await images.image({ kind: 'measure', path: file.path })
    if (facts.kind === 'measured') return this.#keepFile(file, facts, pageUrl)
    await incoming.remove(file.path)
    return {}
  }

  async #keepFile(file: IncomingFile, facts: ImageFacts, pageUrl: string): Promise<JsonObject> {
    const { media, keeper } = this.#deps
    const id = { serverName: this.#options.serverName, mediaId: randomToken() }
    await keeper.keep(file, 'local', async (tx, fileKey) => {
      const quarantinedBy = await media.quarantinerOf(tx, file.sha256)
      await media.insert(tx, { ...this.#newRecord(file, facts, pageUrl), ...id, fileKey, quarantinedBy })
    })
    return {
      'og:image': formatMxcUri(id),
      'og:image:type': facts.contentType,
      'og:image:width': facts.width,
      'og:image:height': facts.height,
      'matrix:image:size': file.length,
    }
  }

  #newRecord(
    { sha256, length }: IncomingFile,
    { contentType }: ImageFacts,
    previewUrl: string,
  ): Omit<MediaRecord, 'serverName' | 'mediaId' | 'fileKey' | 'quarantinedBy'> {
    const now = this.#deps.clock.now()
    return {
      userId: undefined,
      sha256,
      length,
      contentType,
      uploadName: undefined,
      createdTs: now,
      lastAccessTs: now,
      expiresTs: undefined,
      previewUrl,
      isProtected: false,
      isAuthenticated: this.#options.requiresAuthentication,
    }
  }
}
