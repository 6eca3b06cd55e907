import { createHash } from 'node:crypto'
import type { ThumbnailSize } from '../../storage/stores/media-thumbnails.js'

/** Where files that arrive are kept until they are whole. */
export const INCOMING_DIRECTORY = 'incoming'
/** Where files are, by the hash of their content. */
export const CONTENT_DIRECTORY = 'content'
/** Where thumbnails are, by what they were made of. */
export const THUMBNAILS_DIRECTORY = 'thumbnails'

/**
 * The place of a file in the stores, by the SHA-256 of its content in hexadecimal: equal files are one. Two levels of
 * directories keep each of them small.
 */
export function contentKey(sha256: string): string {
  return `${CONTENT_DIRECTORY}/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256}`
}

/** The place of a thumbnail in the stores, by the place of the file that it is made of. */
export function thumbnailKey(fileKey: string, size: ThumbnailSize): string {
  const source = createHash('sha256').update(fileKey).digest('hex').slice(0, 40)
  const name = `${size.width}-${size.height}-${size.method}${size.isAnimated ? '-animated' : ''}`
  return `${THUMBNAILS_DIRECTORY}/${source.slice(0, 2)}/${source.slice(2, 4)}/${source}/${name}`
}
