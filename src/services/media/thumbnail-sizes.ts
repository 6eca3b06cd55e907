import type { ThumbnailSize } from '../../storage/stores/media-thumbnails.js'

/** What somebody asks for, in pixels. */
export interface WantedThumbnail {
  readonly width: number
  readonly height: number
  readonly method: 'crop' | 'scale'
  readonly isAnimated: boolean
}

export interface ThumbnailSettings {
  readonly sizes: readonly Pick<ThumbnailSize, 'width' | 'height' | 'method'>[]
  /** Any size that is asked for, otherwise only those. */
  readonly isDynamic: boolean
}

/** Nobody needs larger ones. */
const MAX_DIMENSION = 2048

/**
 * In which size a thumbnail is made for somebody. Of the settled sizes it is the smallest that is not smaller than
 * what is asked for, by the same method if there is one; the largest where all are smaller.
 * https://spec.matrix.org/latest/client-server-api/#thumbnails
 */
export function chooseThumbnailSize(
  wanted: WantedThumbnail,
  { sizes, isDynamic }: ThumbnailSettings,
): ThumbnailSize {
  if (isDynamic || sizes.length === 0) {
    return {
      ...wanted,
      width: Math.min(wanted.width, MAX_DIMENSION),
      height: Math.min(wanted.height, MAX_DIMENSION),
    }
  }
  const bySize = sizes.toSorted((a, b) => a.width * a.height - b.width * b.height)
  const large = bySize.filter(({ width, height }) => width >= wanted.width && height >= wanted.height)
  const chosen = large.find(({ method }) => method === wanted.method) ?? large[0] ?? bySize.at(-1)!
  return { width: chosen.width, height: chosen.height, method: chosen.method, isAnimated: wanted.isAnimated }
}
