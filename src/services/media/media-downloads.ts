import type { ServerName } from '../../protocol/ids.js'
import type { MediaId } from '../../storage/stores/media.js'
import type { ByteRange, LinkHeaders } from './file-store.js'
import type { FileContent, MediaFiles } from './media-files.js'
import { noSuchMedia, type FoundMedia, type MediaAccess, type MediaFinder } from './media-finder.js'
import { UNKNOWN_TYPE } from './media-names.js'

/** A file for somebody who may have it. */
export interface Download {
  readonly contentType: string
  /** As its uploader called it. */
  readonly fileName: string | undefined
  /** In bytes. */
  readonly length: number
  /** The same for the same content, and for no other. */
  readonly tag: string
  /** The content, or a part of it. Throws `M_NOT_FOUND` when no store has it. */
  readonly open: (range?: ByteRange) => Promise<FileContent>
  /** A link to the same elsewhere, for who may be sent there; undefined where there is none. */
  readonly link: (headers: LinkHeaders) => Promise<string | undefined>
}

/** Gives out files. https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid */
export class MediaDownloads {
  readonly #finder: MediaFinder
  readonly #files: MediaFiles
  readonly #serverName: ServerName

  constructor(deps: { finder: MediaFinder; files: MediaFiles }, options: { serverName: ServerName }) {
    this.#finder = deps.finder
    this.#files = deps.files
    this.#serverName = options.serverName
  }

  /** Throws what `MediaFinder.find` throws. */
  async download(id: MediaId, access: MediaAccess): Promise<Download> {
    const found = await this.#finder.find(id, access)
    const { fileKey, sha256, contentType, uploadName, length } = found
    return {
      contentType: contentType ?? UNKNOWN_TYPE,
      fileName: uploadName,
      length,
      tag: sha256 ?? id.mediaId,
      ...accessTo(this.#files, fileKey, found),
    }
  }

  /** Resolves when no file is on its way to another store any more. */
  settle(): Promise<void> {
    return this.#files.settle()
  }

  /** A file of this server. */
  downloadLocal(mediaId: string, access: MediaAccess): Promise<Download> {
    return this.download({ serverName: this.#serverName, mediaId }, access)
  }
}

/** How a file, or what was made of it, is given out. */
export function accessTo(
  files: MediaFiles,
  key: string,
  { quarantinedBy }: Pick<FoundMedia, 'quarantinedBy'>,
): Pick<Download, 'open' | 'link'> {
  return {
    async open(range) {
      const content = await files.open(key, range)
      if (content === undefined) throw noSuchMedia()
      return content
    },
    // What is shown to administrators alone must not be open to whoever has a link.
    link: async (headers) => (quarantinedBy === undefined ? files.link(key, headers) : undefined),
  }
}
