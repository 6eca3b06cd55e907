import { parseServerName, type ServerName } from './ids.js'

/** Where a file is. https://spec.matrix.org/latest/client-server-api/#matrix-content-mxc-uris */
export interface MxcUri {
  readonly serverName: ServerName
  readonly mediaId: string
}

const MXC_URI = /^mxc:\/\/([^/]+)\/([A-Za-z0-9_-]{1,255})$/

const MEDIA_ID = /^[A-Za-z0-9_-]{1,255}$/

/** The parts of `mxc://server/media-id`; undefined for all else. What it gives is safe in paths. */
export function parseMxcUri(text: string): MxcUri | undefined {
  const [, server, mediaId] = MXC_URI.exec(text) ?? []
  if (server === undefined || mediaId === undefined) return undefined
  const serverName = parseServerName(server)
  return serverName && { serverName, mediaId }
}

/**
 * Whether a text can name a file on its server. What passes is safe in paths.
 * https://spec.matrix.org/latest/client-server-api/#content-repo-security-considerations
 */
export function isMediaId(text: string): boolean {
  return MEDIA_ID.test(text)
}

/** The inverse of `parseMxcUri`. */
export function formatMxcUri({ serverName, mediaId }: MxcUri): string {
  return `mxc://${serverName}/${mediaId}`
}
