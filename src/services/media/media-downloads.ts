import type { ServerName } from '../../protocol/ids.js'
import type { MediaId } from '../../storage/stores/media.js'
import type { ByteRange } from './file-store.js'
import type { FileContent, MediaFiles } from './media-files.js'
import { noSuchMedia, type MediaAccess, type MediaFinder } from './media-finder.js'
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
    const { fileKey, sha256, contentType, uploadName, length } = await this.#finder.find(id, access)
    return {
      contentType: contentType ?? UNKNOWN_TYPE,
      fileName: uploadName,
      length,
      tag: sha256 ?? id.mediaId,
      open: (range) => openFile(this.#files, fileKey, range),
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

/** Throws `M_NOT_FOUND` when no store has the file. */
export async function openFile(files: MediaFiles, key: string, range?: ByteRange): Promise<FileContent> {
  const content = await files.open(key, range)
  if (content === undefined) throw noSuchMedia()
  return content
}
