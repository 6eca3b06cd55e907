import type { Readable } from 'node:stream'
import type { JsonValue } from '../util/json.js'

export type ResponseHeaders = Readonly<Record<string, string>>

/** `stream` is destroyed when the client goes away. */
export type ResponseBody =
  | { readonly json: JsonValue }
  | { readonly text: string }
  | { readonly bytes: Buffer }
  | { readonly stream: Readable }

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

export function created(value: JsonValue): HttpResponse {
  return json(201, value)
}

export function noContent(headers: ResponseHeaders = {}): HttpResponse {
  return new HttpResponse(204, undefined, headers)
}

/** Sends the browser elsewhere. `location` must be a URL: other characters than its own are encoded. */
export function redirect(location: string, status: 302 | 303 | 307 | 308 = 302): HttpResponse {
  return new HttpResponse(status, undefined, { Location: encodeUnsafe(location), 'Cache-Control': NO_STORE })
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

export function file(stream: Readable, meta: FileMeta): HttpResponse {
  return new HttpResponse(
    meta.status ?? 200,
    { stream },
    {
      'Content-Type': meta.contentType,
      ...(meta.length === undefined ? {} : { 'Content-Length': String(meta.length) }),
      ...meta.headers,
    },
  )
}

/** For answers that are nobody else's business and change all the time. */
export const NO_STORE = 'no-cache, no-store, must-revalidate'

/** Line breaks and everything outside ASCII would break the header. */
function encodeUnsafe(location: string): string {
  return location.toWellFormed().replace(/[^\x21-\x7e]/gu, (character) => encodeURIComponent(character))
}
