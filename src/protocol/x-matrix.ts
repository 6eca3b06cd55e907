import type { JsonObject, JsonValue } from '../util/json.js'
import { canonicalJson } from './canonical-json.js'
import { parseServerName, type ServerName } from './ids.js'

/** What an `Authorization: X-Matrix` header says. */
export interface XMatrix {
  readonly origin: ServerName
  /** Undefined: from servers that do not say. */
  readonly destination: string | undefined
  /** `ed25519:` and the version, for keys that this server can use. */
  readonly keyId: string
  readonly signature: string
}

/** What is signed of a request between servers. */
export interface RequestToSign {
  readonly method: string
  /** Path and query as sent, from `/_matrix`. */
  readonly uri: string
  readonly origin: ServerName
  /** Whom it is for. */
  readonly destination: string
  /** The body; undefined where there is none. */
  readonly content?: JsonValue | undefined
}

/** The text that the sender of a request signs. https://spec.matrix.org/latest/server-server-api/#request-authentication */
export function requestText({ method, uri, origin, destination, content }: RequestToSign): string {
  const signed: JsonObject = { method, uri, origin, destination }
  if (content !== undefined) signed['content'] = content
  return canonicalJson(signed)
}

/** The value of the header. */
export function formatXMatrix({ origin, destination, keyId, signature }: XMatrix): string {
  const target = destination === undefined ? '' : `,destination=${quote(destination)}`
  return `X-Matrix origin=${quote(origin)}${target},key=${quote(keyId)},sig=${quote(signature)}`
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

const SCHEME = /^X-Matrix[ \t]+/i
/** Values may stand without quotes though they have characters that no token has: colons, slashes, equals signs. */
const PARAMETER = /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^",\s]*))[ \t]*/y
const MAX_LENGTH = 10_000

/**
 * Reads the value of the header, with or without quotes, in any order, and leaving out what it does not know. Undefined
 * for other schemes and for what lacks a part or is malformed.
 * https://spec.matrix.org/latest/server-server-api/#request-authentication
 */
export function parseXMatrix(header: string): XMatrix | undefined {
  const scheme = SCHEME.exec(header)?.[0]
  if (scheme === undefined || header.length > MAX_LENGTH) return undefined
  const parameters = parseParameters(header, scheme.length)
  if (parameters === undefined) return undefined
  const origin = parseServerName(parameters.get('origin') ?? '')
  const keyId = parameters.get('key') ?? ''
  const signature = parameters.get('sig') ?? ''
  if (origin === undefined || keyId === '' || signature === '') return undefined
  return { origin, destination: parameters.get('destination'), keyId, signature }
}

/** By lower-case name; undefined where the text is no list of parameters, or one is there twice. */
function parseParameters(text: string, start: number): Map<string, string> | undefined {
  const parameters = new Map<string, string>()
  let index = start
  while (index < text.length) {
    if (text[index] === ',') {
      index++
      continue
    }
    PARAMETER.lastIndex = index
    const match = PARAMETER.exec(text)
    if (match === null) return text.slice(index).trim() === '' ? parameters : undefined
    const [whole, name = '', quoted, plain = ''] = match
    index += whole.length
    if (index < text.length && text[index] !== ',') return undefined
    const key = name.toLowerCase()
    if (parameters.has(key)) return undefined
    parameters.set(key, quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1'))
  }
  return parameters
}
