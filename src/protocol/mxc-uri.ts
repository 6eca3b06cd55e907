import { parseServerName, type ServerName } from './ids.js'

/** Where a file is. https://spec.matrix.org/latest/client-server-api/#matrix-content-mxc-uris */
export interface MxcUri {
  readonly serverName: ServerName
  readonly mediaId: string
}

const MXC_URI = /^mxc:\/\/([^/]+)\/([A-Za-z0-9_-]{1,255})$/

/** The parts of `mxc://server/media-id`; undefined for all else. What it gives is safe in paths. */
export function parseMxcUri(text: string): MxcUri | undefined {
  const [, server, mediaId] = MXC_URI.exec(text) ?? []
  if (server === undefined || mediaId === undefined) return undefined
  const serverName = parseServerName(server)
  return serverName && { serverName, mediaId }
}

/** The inverse of `parseMxcUri`. */
export function formatMxcUri({ serverName, mediaId }: MxcUri): string {
  return `mxc://${serverName}/${mediaId}`
}
