import type { JsonValue } from '../util/json.js'

/** From here on it pays that node need not measure a text, join it to the headers, and encode that. */
const MIN_ENCODED_LENGTH = 16_384
/** Objects with more properties, and lists with more elements, are long by themselves. */
const MANY = 32
/** How deep an answer is taken apart: `rooms`, `join`, the rooms. */
const LEVELS = 3

/**
 * The JSON of an answer, as `JSON.stringify` makes it; in UTF-8 already where it is long. One long text would cost twice
 * the time: V8 joins it piece by piece and copies it into memory that is new each time, so that what consists of many
 * parts is encoded part by part.
 */
export function encodeJson(value: JsonValue): string | Buffer {
  if (hasManyParts(value, LEVELS)) return joined([...pieces(value, LEVELS)])
  const text = JSON.stringify(value)
  return text.length < MIN_ENCODED_LENGTH ? text : Buffer.from(text)
}

function hasManyParts(value: unknown, levels: number): boolean {
  if (!isParted(value)) return false
  if (Array.isArray(value)) return value.length > MANY
  const parts: unknown[] = Object.values(value)
  return parts.length > MANY || (levels > 1 && parts.some((part) => hasManyParts(part, levels - 1)))
}

function* pieces(value: unknown, levels: number): Generator<string> {
  if (levels === 0 || !isParted(value)) yield JSON.stringify(value)
  else if (Array.isArray(value)) yield* piecesOfList(value, levels)
  else yield* piecesOfObject(value, levels)
}

function* piecesOfList(list: readonly unknown[], levels: number): Generator<string> {
  let before = '['
  for (const element of list) {
    yield before
    before = ','
    yield* isWritten(element) ? pieces(element, levels - 1) : ['null']
  }
  yield before === '[' ? '[]' : ']'
}

function* piecesOfObject(value: object, levels: number): Generator<string> {
  let before = '{'
  for (const [name, part] of Object.entries(value as Readonly<Record<string, unknown>>)) {
    if (!isWritten(part)) continue
    yield `${before}${JSON.stringify(name)}:`
    before = ','
    yield* pieces(part, levels - 1)
  }
  yield before === '{' ? '{}' : '}'
}

/** An object that is written property by property. */
function isParted(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !('toJSON' in value)
}

/** Whether JSON has a text for it. */
function isWritten(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
}

function joined(texts: readonly string[]): Buffer {
  const buffer = Buffer.allocUnsafeSlow(texts.reduce((length, text) => length + Buffer.byteLength(text), 0))
  let at = 0
  for (const text of texts) at += buffer.write(text, at)
  return buffer
}
