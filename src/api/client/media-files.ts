import { create } from 'content-disposition'
import { z } from 'zod'
import { redirect, servedFile, type HttpResponse } from '../../http/responses.js'
import type { RequestInfo } from '../../http/route.js'
import type { Download } from '../../services/media/media-downloads.js'
import type { MediaAccess } from '../../services/media/media-finder.js'
import type { Upload } from '../../services/media/media-uploads.js'
import type { WantedThumbnail } from '../../services/media/thumbnail-sizes.js'

/** Types that browsers show without running anything in them; others are saved. */
const INLINE_TYPES: ReadonlySet<string> = new Set([
  'text/css',
  'text/plain',
  'text/csv',
  'application/json',
  'application/ld+json',
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'video/ogg',
  'video/quicktime',
  'audio/mp4',
  'audio/webm',
  'audio/aac',
  'audio/mpeg',
  'audio/ogg',
  'audio/wave',
  'audio/wav',
  'audio/x-wav',
  'audio/x-pn-wav',
  'audio/flac',
  'audio/x-flac',
])

/** What keeps files of strangers from doing anything where they are shown. */
const SAFETY_HEADERS = {
  'Content-Security-Policy':
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self';",
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'X-Content-Type-Options': 'nosniff',
  'X-Robots-Tag': 'noindex, nofollow, noarchive, noimageindex',
}
const PUBLIC_FOR_A_DAY = 'public, max-age=86400, immutable'
const PRIVATE_FOR_A_DAY = 'private, max-age=86400, immutable'

/** What would lead out of the directory in which a file is saved. */
const PATH_SEPARATORS = /[/\\]/g

/**
 * `Content-Disposition` of a file: `inline` for the types that are safe to show.
 * https://spec.matrix.org/latest/client-server-api/#serving-inline-content
 */
export function contentDisposition(contentType: string, fileName: string | undefined): string {
  const essence = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
  const name = fileName?.replace(PATH_SEPARATORS, '_')
  return create(name, { type: INLINE_TYPES.has(essence) ? 'inline' : 'attachment' })
}

/**
 * Answers with a file, or, where the client may be redirected and there is one, with a link to it. `isPublic`: whoever
 * passes the file on may keep it.
 */
export async function serveDownload(
  request: RequestInfo,
  download: Download,
  options: { isPublic: boolean; mayRedirect: boolean; fileName?: string },
): Promise<HttpResponse> {
  const { contentType, length, tag, open } = download
  // A path may end with a slash and no name.
  const fileName = options.fileName === '' ? undefined : options.fileName
  const disposition = contentDisposition(contentType, fileName ?? download.fileName)
  const cacheControl = options.isPublic ? PUBLIC_FOR_A_DAY : PRIVATE_FOR_A_DAY
  // A link is good for one method.
  if (options.mayRedirect && request.method === 'GET') {
    const link = await download.link({ contentType, contentDisposition: disposition, cacheControl })
    if (link !== undefined) return redirect(link, 307)
  }
  return servedFile(request, {
    contentType,
    length,
    tag,
    open,
    headers: { ...SAFETY_HEADERS, 'Content-Disposition': disposition, 'Cache-Control': cacheControl },
  })
}

const DEFAULT_TIMEOUT_MS = 20_000
const MAX_TIMEOUT_MS = 60_000

/** How long to wait for a file that has been announced. */
export const timeoutParam = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number, not negative')
  .transform((text) => Math.min(Number(text), MAX_TIMEOUT_MS))
  .default(DEFAULT_TIMEOUT_MS)

export const flagParam = z.enum(['true', 'false']).transform((text) => text === 'true')

const dimension = z
  .string()
  .regex(/^\d{1,6}$/, 'must be a whole number')
  .transform(Number)
  .refine((pixels) => pixels > 0, 'must be larger than 0')

/** The query of thumbnails. */
export const thumbnailParams = {
  width: dimension,
  height: dimension,
  method: z.enum(['crop', 'scale']).default('scale'),
  animated: flagParam.default(false),
  timeout_ms: timeoutParam,
}

/** What those parameters ask for. */
export function wantedThumbnail(query: {
  width: number
  height: number
  method: 'crop' | 'scale'
  animated: boolean
}): WantedThumbnail {
  return { width: query.width, height: query.height, method: query.method, isAnimated: query.animated }
}

/**
 * Whether to send a client elsewhere: at the endpoints that want a token, clients are told to expect it, and may say that
 * they cannot follow.
 */
export const redirectParam = flagParam.default(true)

/** How somebody with an access token asks for a file. */
export function accessOf(
  request: RequestInfo,
  options: Pick<MediaAccess, 'isAuthenticated' | 'timeoutMs'> & Partial<MediaAccess>,
): MediaAccess {
  return { allowRemote: true, ip: request.ip, signal: request.signal, ...options }
}

/** The file in the body of a request. */
export function uploadOf(request: RequestInfo, fileName: string | undefined): Upload {
  const { 'content-length': length, 'content-type': type } = request.headers
  return {
    stream: request.stream,
    announcedLength: typeof length === 'string' ? Number(length) : undefined,
    contentType: typeof type === 'string' ? type : undefined,
    fileName,
  }
}
