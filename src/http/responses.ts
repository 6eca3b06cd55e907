import { Readable } from 'node:stream'
import type { ByteSource } from '../util/byte-source.js'
import type { JsonValue } from '../util/json.js'
import { matchesTag, parseRange, type ByteRange } from './byte-range.js'

export type ResponseHeaders = Readonly<Record<string, string>>

/** A stream is destroyed, and a source closed, when the client goes away. */
export type ResponseBody =
  | { readonly json: JsonValue }
  | { readonly text: string }
  | { readonly bytes: Buffer }
  | { readonly stream: Readable }
  | { readonly source: ByteSource }

/** An answer that is more than a JSON value with status 200. */
export class HttpResponse {
  readonly status: number
  readonly headers: ResponseHeaders
  /** A JSON value; text, bytes or a stream with the content type in `headers`. Undefined: no body. */
  readonly body: ResponseBody | undefined

  constructor(status: number, body?: ResponseBody, headers: ResponseHeaders = {}) {
    this.status = status
    this.headers = headers
    this.body = body
  }
}

/** JSON with a status or headers of its own. */
export function json(status: number, value: JsonValue, headers: ResponseHeaders = {}): HttpResponse {
  return new HttpResponse(status, { json: value }, headers)
}

export function noContent(headers: ResponseHeaders = {}): HttpResponse {
  return new HttpResponse(204, undefined, headers)
}

/** Sends the browser elsewhere. `location` must be a URL: other characters than its own are encoded. */
export function redirect(
  location: string,
  status: 302 | 303 | 307 | 308 = 302,
  headers: ResponseHeaders = {},
): HttpResponse {
  const own = { Location: encodeUnsafe(location), 'Cache-Control': NO_STORE }
  return new HttpResponse(status, undefined, { ...own, ...headers })
}

/** A page that nobody may frame. */
export function html(
  text: string,
  options: { status?: number; headers?: ResponseHeaders } = {},
): HttpResponse {
  return new HttpResponse(
    options.status ?? 200,
    { text },
    {
      'Content-Type': 'text/html; charset=utf-8',
      'Cache-Control': NO_STORE,
      'X-Frame-Options': 'DENY',
      'Content-Security-Policy': "frame-ancestors 'none'",
      ...options.headers,
    },
  )
}

export function plainText(text: string, headers: ResponseHeaders = {}): HttpResponse {
  return new HttpResponse(200, { text }, { 'Content-Type': 'text/plain; charset=utf-8', ...headers })
}

/** What is known of a file that is sent. */
export interface FileMeta {
  readonly contentType: string
  readonly length?: number
  /** `Content-Disposition`, `Cache-Control`, `ETag` and what else the file needs. */
  readonly headers?: ResponseHeaders
  /** 206 for a part. */
  readonly status?: number
}

export function file(content: Readable | ByteSource, meta: FileMeta): HttpResponse {
  return new HttpResponse(
    meta.status ?? 200,
    content instanceof Readable ? { stream: content } : { source: content },
    {
      'Content-Type': meta.contentType,
      ...(meta.length === undefined ? {} : { 'Content-Length': String(meta.length) }),
      ...meta.headers,
    },
  )
}

/** A file of which a part may be asked for, or nothing where the client has it. */
export interface ServedFile {
  readonly contentType: string
  /** In bytes. */
  readonly length: number
  /** The same for the same content, and for no other; without quotes. */
  readonly tag: string
  readonly headers?: ResponseHeaders
  /** The content, or a part of it. */
  readonly open: (range?: ByteRange) => Promise<Readable | ByteSource>
}

/**
 * Answers with a file as the request's headers want it: 200, 206 for a part, 304 where the client has it, 416 for a
 * part behind its end.
 */
export async function servedFile(
  request: { readonly headers: Readonly<Record<string, string | string[] | undefined>> },
  { contentType, length, tag, headers, open }: ServedFile,
): Promise<HttpResponse> {
  const quoted = `"${tag}"`
  const common = { ...headers, ETag: quoted, 'Accept-Ranges': 'bytes' }
  if (matchesTag(textOf(request.headers['if-none-match']), quoted)) {
    return new HttpResponse(304, undefined, common)
  }
  // A part of something else would be of no use.
  const condition = textOf(request.headers['if-range'])
  const wanted =
    condition === undefined || condition === quoted ? textOf(request.headers['range']) : undefined
  const range = parseRange(wanted, length)
  if (range === 'unsatisfiable') {
    return new HttpResponse(416, undefined, { ...common, 'Content-Range': `bytes */${length}` })
  }
  if (range === undefined) return file(await open(), { contentType, length, headers: common })
  const { start, end } = range
  return file(await open(range), {
    status: 206,
    contentType,
    length: end - start + 1,
    headers: { ...common, 'Content-Range': `bytes ${start}-${end}/${length}` },
  })
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'object' ? header.join(', ') : header
}

/** For answers that are nobody else's business and change all the time. */
export const NO_STORE = 'no-cache, no-store, must-revalidate'

/** Line breaks and everything outside ASCII would break the header. */
function encodeUnsafe(location: string): string {
  return location.toWellFormed().replace(/[^\x21-\x7e]/gu, (character) => encodeURIComponent(character))
}
