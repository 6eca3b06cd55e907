/**
 * Any web page may call every endpoint: access is by token, not by cookie. On every answer, errors included, since a
 * browser hides answers without them from the client.
 * https://spec.matrix.org/latest/client-server-api/#web-browser-clients
 */
export const CORS_HEADERS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
  'Access-Control-Allow-Headers':
    'X-Requested-With, Content-Type, Authorization, Date, If-Match, If-None-Match',
  'Access-Control-Expose-Headers': 'ETag, Retry-After',
} as const

/** Browsers ask before a request whether they may make it; this spares them asking again for a day. */
export const PREFLIGHT_HEADERS = { 'Access-Control-Max-Age': '86400' } as const
