import { Readable } from 'node:stream'
import { MatrixError, tooLarge } from '../../protocol/errors.js'
import type { ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { MediaId } from '../../storage/stores/media.js'
import type {
  MediaThumbnailsStore,
  ThumbnailRecord,
  ThumbnailSize,
} from '../../storage/stores/media-thumbnails.js'
import { SingleFlight } from '../../util/single-flight.js'
import { thumbnailKey } from './file-keys.js'
import type { ImageOutcome } from './image-inspection.js'
import type { IncomingFiles } from './incoming-files.js'
import type { Inspector } from './inspector.js'
import { accessTo, type Download } from './media-downloads.js'
import type { MediaFiles } from './media-files.js'
import { noSuchMedia, type FoundMedia, type MediaAccess, type MediaFinder } from './media-finder.js'
import type { MediaKeeper } from './media-keeper.js'
import { chooseThumbnailSize, type ThumbnailSettings, type WantedThumbnail } from './thumbnail-sizes.js'

export interface ThumbnailsDependencies {
  readonly db: Database
  readonly thumbnails: MediaThumbnailsStore
  readonly finder: MediaFinder
  readonly files: MediaFiles
  readonly incoming: IncomingFiles
  readonly keeper: MediaKeeper
  readonly images: Pick<Inspector, 'image'>
}

export interface ThumbnailsOptions extends ThumbnailSettings {
  readonly serverName: ServerName
  /** Larger pictures have no thumbnails. */
  readonly maxPixels: number
}

/** One file has no more thumbnails, whatever sizes are asked for. */
const MAX_PER_FILE = 50
const NAMES: Readonly<Record<string, string>> = {
  'image/png': 'thumbnail.png',
  'image/jpeg': 'thumbnail.jpg',
  'image/webp': 'thumbnail.webp',
  'image/gif': 'thumbnail.gif',
}

/** Makes small pictures of large ones. https://spec.matrix.org/latest/client-server-api/#thumbnails */
export class Thumbnails {
  readonly #deps: ThumbnailsDependencies
  readonly #options: ThumbnailsOptions
  readonly #making = new SingleFlight<Download>()

  constructor(deps: ThumbnailsDependencies, options: ThumbnailsOptions) {
    this.#deps = deps
    this.#options = options
  }

  /**
   * A thumbnail of a picture, or the picture itself where it is small. Throws what finding the picture throws,
   * `M_TOO_LARGE` (413, or 502 for those of other servers) and `M_UNKNOWN` (400) for what is no picture.
   */
  async thumbnail(id: MediaId, wanted: WantedThumbnail, access: MediaAccess): Promise<Download> {
    const { db, thumbnails, finder } = this.#deps
    const found = await finder.find(id, access)
    const known = await thumbnails.list(db.reader, found.fileKey)
    const { sizes, isDynamic } = this.#options
    const size = chooseThumbnailSize(wanted, { sizes, isDynamic: isDynamic && known.length < MAX_PER_FILE })
    const made = known.find((thumbnail) => isSameSize(thumbnail, size))
    if (made !== undefined) return this.#toDownload(found, made)
    const flight = `${found.fileKey} ${thumbnailKey(found.fileKey, size)}`
    return this.#making.run(flight, () => this.#make(found, size))
  }

  /** Of a picture of this server. */
  thumbnailOfLocal(mediaId: string, wanted: WantedThumbnail, access: MediaAccess): Promise<Download> {
    return this.thumbnail({ serverName: this.#options.serverName, mediaId }, wanted, access)
  }

  async #make(found: FoundMedia, size: ThumbnailSize): Promise<Download> {
    const outcome = await this.#draw(found, size)
    if (outcome.kind === 'made') return this.#toDownload(found, await this.#keep(found, size, outcome))
    if (outcome.kind === 'original') {
      return {
        contentType: outcome.contentType,
        fileName: NAMES[outcome.contentType],
        length: found.length,
        tag: found.sha256 ?? found.mediaId,
        ...accessTo(this.#deps.files, found.fileKey, found),
      }
    }
    if (outcome.kind === 'tooLarge') throw this.#tooManyPixels(found)
    throw new MatrixError('M_UNKNOWN', 'Cannot generate thumbnails for the requested content', {
      status: 400,
    })
  }

  async #draw({ fileKey }: FoundMedia, size: ThumbnailSize): Promise<ImageOutcome> {
    const { files, images } = this.#deps
    const source = await files.pathOf(fileKey)
    if (source === undefined) throw noSuchMedia()
    try {
      const { maxPixels } = this.#options
      return await images.image({ kind: 'thumbnail', path: source.path, size, maxPixels })
    } finally {
      await source.release()
    }
  }

  async #keep(
    { fileKey, serverName }: FoundMedia,
    size: ThumbnailSize,
    { bytes, contentType }: Extract<ImageOutcome, { kind: 'made' }>,
  ): Promise<ThumbnailRecord> {
    const { incoming, keeper } = this.#deps
    const file = await incoming.receive(Readable.from([bytes]), {
      maxBytes: Infinity,
      tooLarge: () => new Error('There is no limit'),
    })
    const record = {
      ...size,
      thumbnailKey: thumbnailKey(fileKey, size),
      contentType,
      length: file.length,
    }
    const origin = serverName === this.#options.serverName ? 'local' : 'remote'
    if (!(await keeper.keepThumbnail(fileKey, { file, record, origin }))) throw noSuchMedia()
    return record
  }

  #toDownload(found: FoundMedia, { thumbnailKey: key, contentType, length }: ThumbnailRecord): Download {
    return {
      contentType,
      fileName: NAMES[contentType],
      length,
      tag: key.replaceAll('/', '-'),
      ...accessTo(this.#deps.files, key, found),
    }
  }

  /** Whose fault it is, the status says. */
  #tooManyPixels({ serverName }: FoundMedia): MatrixError {
    const message = 'The content is too large to thumbnail'
    if (serverName === this.#options.serverName) return tooLarge(message)
    return new MatrixError('M_TOO_LARGE', message, { status: 502 })
  }
}

function isSameSize(a: ThumbnailSize, b: ThumbnailSize): boolean {
  return (
    a.width === b.width && a.height === b.height && a.method === b.method && a.isAnimated === b.isAnimated
  )
}
