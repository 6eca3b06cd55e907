import type { JsonValue } from '../util/json.js'

/** From here on it pays that node need not measure a text, join it to the headers, and encode that. */
const MIN_ENCODED_LENGTH = 16_384
/** Objects with more properties, and lists with more elements, are long by themselves. */
const MANY = 32
/** How deep an answer is taken apart: `rooms`, `join`, the rooms. */
const LEVELS = 3

/**
 * The JSON of an answer, as `JSON.stringify` makes it; in UTF-8 already where it is long. One long text would cost several
 * times the time: V8 joins it piece by piece and copies it into memory that is new each time. What consists of many parts
 * is encoded part by part, each at once, so that its text is gone before the garbage collector sees it.
 */
export function encodeJson(value: JsonValue): string | Buffer {
  if (hasManyParts(value, LEVELS)) {
    const writer = new Utf8Writer()
    write(writer, value, LEVELS)
    return writer.written()
  }
  const text = JSON.stringify(value)
  return text.length < MIN_ENCODED_LENGTH ? text : Buffer.from(text)
}

function hasManyParts(value: unknown, levels: number): boolean {
  if (!isParted(value)) return false
  if (Array.isArray(value)) return value.length > MANY
  const parts: unknown[] = Object.values(value)
  return parts.length > MANY || (levels > 1 && parts.some((part) => hasManyParts(part, levels - 1)))
}

function write(writer: Utf8Writer, value: unknown, levels: number): void {
  if (levels === 0 || !isParted(value)) writer.add(JSON.stringify(value))
  else if (Array.isArray(value)) writeList(writer, value, levels)
  else writeObject(writer, value, levels)
}

function writeList(writer: Utf8Writer, list: readonly unknown[], levels: number): void {
  let before = '['
  for (const element of list) {
    writer.add(before)
    before = ','
    if (isWritten(element)) write(writer, element, levels - 1)
    else writer.add('null')
  }
  writer.add(before === '[' ? '[]' : ']')
}

function writeObject(writer: Utf8Writer, value: object, levels: number): void {
  let before = '{'
  for (const [name, part] of Object.entries(value as Readonly<Record<string, unknown>>)) {
    if (!isWritten(part)) continue
    writer.add(`${before}${JSON.stringify(name)}:`)
    before = ','
    write(writer, part, levels - 1)
  }
  writer.add(before === '{' ? '{}' : '}')
}

/** An object that is written property by property. */
function isParted(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !('toJSON' in value)
}

/** Whether JSON has a text for it. */
function isWritten(value: unknown): boolean {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
}

const FIRST_BYTES = 65_536
/** A UTF-16 code unit takes no more in UTF-8. */
const MAX_BYTES_PER_UNIT = 3

/** Texts one after the other in UTF-8, in memory that grows with them. */
class Utf8Writer {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #length = 0

  add(text: string): void {
    this.#reserve(text.length * MAX_BYTES_PER_UNIT)
    this.#length += this.#buffer.write(text, this.#length)
  }

  written(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#buffer.length, this.#length + bytes))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}
