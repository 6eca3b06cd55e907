import { isJsonObject, type JsonObject } from '../../src/util/json.js'
import type { MatrixClient } from './matrix-client.js'
import { checkResponse } from './response-schemas.js'

/** An answer with bytes. */
export interface BytesResponse {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  /** The body where it is JSON; an empty object otherwise. */
  readonly json: JsonObject
}

export interface UploadOptions {
  readonly type?: string
  readonly name?: string
}

/** Sends a file with a session's token and gives its URI. Throws for other answers than 200. */
export async function uploadFile(
  client: MatrixClient,
  bytes: Uint8Array | string,
  { type, name }: UploadOptions = {},
): Promise<string> {
  const body = await client.must('POST', '/_matrix/media/v3/upload', {
    rawBody: bytes,
    query: { filename: name },
    headers: { 'Content-Type': type ?? 'application/octet-stream' },
  })
  return uriIn(body)
}

/** The URI in an answer of the endpoints that make one. */
export function uriIn(body: JsonObject, name = 'content_uri'): string {
  const uri = body[name]
  if (typeof uri !== 'string') throw new Error(`There is no ${name}`)
  return uri
}

/** The path of a file below a prefix such as `/_matrix/client/v1/media/download`. */
export function mediaPath(prefix: string, uri: string, ...rest: readonly string[]): string {
  return [prefix, uri.replace('mxc://', ''), ...rest.map(encodeURIComponent)].join('/')
}

/** Asks a server for bytes, with a token if there is one. Redirects are not followed. */
export async function fetchBytes(
  url: string,
  options: { token?: string; headers?: Record<string, string>; method?: string } = {},
): Promise<BytesResponse> {
  const { token, headers = {}, method = 'GET' } = options
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: { ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }), ...headers },
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  const { status } = response
  const contentType = response.headers.get('content-type')
  checkResponse({ method, path: new URL(url).pathname, status, contentType, text: bytes.toString('utf8') })
  return { status: response.status, headers: response.headers, bytes, json: parseJson(bytes) }
}

function parseJson(bytes: Buffer): JsonObject {
  try {
    const json: unknown = JSON.parse(bytes.toString())
    return isJsonObject(json) ? json : {}
  } catch {
    return {}
  }
}

/** A file by the endpoint that wants a token. */
export function downloadFile(
  client: MatrixClient,
  uri: string,
  options: { name?: string; headers?: Record<string, string>; query?: string } = {},
): Promise<BytesResponse> {
  const { name, headers, query = '' } = options
  const path = mediaPath('/_matrix/client/v1/media/download', uri, ...(name === undefined ? [] : [name]))
  return fetchBytes(`${client.url}${path}${query}`, {
    token: client.accessToken,
    ...(headers === undefined ? {} : { headers }),
  })
}

/** A thumbnail by the endpoint that wants a token. `query` as in `width=32&height=32`. */
export function fetchThumbnail(client: MatrixClient, uri: string, query: string): Promise<BytesResponse> {
  const path = mediaPath('/_matrix/client/v1/media/thumbnail', uri)
  return fetchBytes(`${client.url}${path}?${query}`, { token: client.accessToken })
}
