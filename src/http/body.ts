import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { badJson, MatrixError, tooLarge } from '../protocol/errors.js'
import type { JsonObject, JsonValue } from '../util/json.js'
import { measureJson } from '../util/json-measure.js'
import type { BodyLease } from './body-budget.js'

/** The largest body in bytes unless the route says otherwise: an event is at most 64 KiB, a batch of keys some more. */
export const DEFAULT_MAX_BODY_BYTES = 1024 * 1024

/** Deeper JSON is refused: what walks it later does so recursively. */
export const MAX_JSON_DEPTH = 250

/** The client went away while it was sending: there is nobody to answer. */
export class RequestAbortedError extends Error {
  override readonly name = 'RequestAbortedError'
}

/** What a request sends. */
export interface IncomingBody {
  readonly stream: Readable
  readonly headers: Pick<IncomingHttpHeaders, 'content-length'>
}

/**
 * The whole body. Throws `M_TOO_LARGE` as soon as it is known to be larger than `maxBytes`, and what the lease throws, of
 * which every byte is taken that comes.
 */
export function readBody(
  { stream, headers }: IncomingBody,
  maxBytes: number,
  lease?: Pick<BodyLease, 'takeBytes'>,
): Promise<Buffer> {
  if (Number(headers['content-length'] ?? 0) > maxBytes) return Promise.reject(bodyTooLarge(maxBytes))
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (finish: () => void): void => {
      stream.off('data', onData).off('end', onEnd).off('error', onFailure).off('close', onFailure)
      finish()
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      try {
        if (size > maxBytes) throw bodyTooLarge(maxBytes)
        lease?.takeBytes(chunk.length)
        chunks.push(chunk)
      } catch (error) {
        const reason: Error = error instanceof Error ? error : new Error(String(error))
        settle(() => reject(reason))
      }
    }
    const onEnd = (): void => {
      settle(() => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    }
    const onFailure = (): void => {
      settle(() => reject(new RequestAbortedError('The client went away')))
    }
    stream.on('data', onData).on('end', onEnd).on('error', onFailure).on('close', onFailure)
  })
}

export interface JsonBodyOptions {
  /** An empty body counts as `{}`. */
  readonly emptyBody: boolean
  /** Strings may hold U+0000. */
  readonly allowNul: boolean
  /** The largest number of values and names of members; undefined: as many as the bytes hold. */
  readonly maxParts?: number | undefined
  /** Is told of the parts before they are made. What it throws is thrown. */
  readonly lease?: Pick<BodyLease, 'takeParts'>
}

export interface JsonBody {
  readonly text: string
  readonly value: JsonValue
}

/**
 * Reads JSON from untrusted bytes. Throws `M_NOT_JSON` for what is none, `M_TOO_LARGE` for JSON of too many parts, and
 * `M_BAD_JSON` for JSON that nests too deep or whose strings are no Unicode text (lone surrogates) or, unless they may,
 * hold U+0000.
 */
export function parseJsonBody(bytes: Buffer, options: JsonBodyOptions): JsonBody {
  if (bytes.length === 0 && options.emptyBody) return { text: '{}', value: {} }
  if (!isUtf8(bytes)) throw notJson()
  const text = bytes.toString('utf8')
  const { depth, parts } = measureJson(text)
  if (depth > MAX_JSON_DEPTH) throw badJson('The JSON is nested too deep')
  if (parts > (options.maxParts ?? Infinity)) throw tooLarge('The JSON has too many values')
  options.lease?.takeParts(parts)
  const value = parse(text)
  // Raw control characters are no JSON and raw surrogates no UTF-8: both come only as escapes.
  if (text.includes('\\u')) checkStrings(value, options.allowNul)
  return { text, value }
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    throw notJson()
  }
}

function checkStrings(value: JsonValue, allowNul: boolean): void {
  if (typeof value === 'string') checkString(value, allowNul)
  else if (Array.isArray(value)) for (const item of value) checkStrings(item, allowNul)
  else if (typeof value === 'object' && value !== null) checkEntries(value, allowNul)
}

function checkEntries(object: JsonObject, allowNul: boolean): void {
  for (const [key, value] of Object.entries(object)) {
    checkString(key, allowNul)
    checkStrings(value, allowNul)
  }
}

function checkString(text: string, allowNul: boolean): void {
  if (!text.isWellFormed()) throw badJson('The JSON contains half a surrogate pair')
  if (!allowNul && text.includes('\u0000')) throw badJson('The JSON contains a null character')
}

function notJson(): MatrixError {
  return new MatrixError('M_NOT_JSON', 'The body is not JSON')
}

function bodyTooLarge(maxBytes: number): MatrixError {
  return tooLarge(`The body is larger than ${maxBytes} bytes`)
}
