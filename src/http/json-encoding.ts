import type { JsonValue } from '../util/json.js'

/** From here on it pays that node need not measure a text, join it to the headers, and encode that. */
const MIN_ENCODED_LENGTH = 16_384
/** Objects with more properties, and lists with more elements, are long by themselves. */
const MANY = 32
/** How deep an answer is taken apart: `rooms`, `join`, the rooms. */
const LEVELS = 3

const FIRST_BYTES = 65_536
/** A UTF-16 code unit takes no more in UTF-8. */
const MAX_BYTES_PER_UNIT = 3
/** So much memory is kept for what is written next. */
const KEPT_BYTES = 4 * 1024 * 1024
/** To copy less takes no time worth speaking of. */
const MIN_LENT_BYTES = 262_144

/** Texts one after the other in UTF-8. */
class Utf8Writer {
  #buffer: Buffer | undefined
  #length = 0
  /** What its readers have not given back. */
  readonly #lent = new WeakSet<Buffer>()

  add(text: string): void {
    const buffer = this.#room(text.length * MAX_BYTES_PER_UNIT)
    this.#length += buffer.write(text, this.#length)
  }

  /** What has been written, and begins anew. */
  take(): Buffer {
    const buffer = this.#buffer ?? Buffer.alloc(0)
    const written = buffer.subarray(0, this.#length)
    this.#length = 0
    const isFull = written.length >= MIN_LENT_BYTES && 2 * written.length >= buffer.length
    if (isFull || buffer.length > KEPT_BYTES) this.#buffer = undefined
    if (!isFull) return copyOf(written)
    this.#lent.add(written)
    return written
  }

  /** Takes back the memory of what was taken, unless there is as much already. */
  reuse(taken: Buffer): void {
    if (!this.#lent.delete(taken)) return
    const memory = Buffer.from(taken.buffer)
    if (memory.length > KEPT_BYTES || memory.length <= (this.#buffer?.length ?? 0) || this.#length > 0) return
    this.#buffer = memory
  }

  #room(bytes: number): Buffer {
    const given = this.#buffer
    if (given !== undefined && this.#length + bytes <= given.length) return given
    const larger = Buffer.allocUnsafeSlow(
      Math.max(2 * (given?.length ?? 0), this.#length + bytes, FIRST_BYTES),
    )
    given?.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
    return larger
  }
}

/** A copy with memory of its own. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** Writes answers. */
export class JsonEncoder {
  #writer = new Utf8Writer()

  /**
   * The JSON of an answer, as `JSON.stringify` makes it; in UTF-8 already where it is long. One long text would cost
   * several times the time: V8 joins it piece by piece and copies it into memory that is new each time, and the system
   * takes its time to give that out. What consists of many parts is encoded part by part, each at once, so that its text
   * is gone before the garbage collector sees it, in memory that is used again once `sent` has been called.
   */
  encode(value: JsonValue): string | Buffer {
    if (!hasManyParts(value, LEVELS)) {
      const text = JSON.stringify(value)
      return text.length < MIN_ENCODED_LENGTH ? text : Buffer.from(text)
    }
    try {
      write(this.#writer, value, LEVELS)
      return this.#writer.take()
    } catch (error) {
      this.#writer = new Utf8Writer()
      throw error
    }
  }

  /** To be called when nobody reads an answer any more: what is written next may take its place. */
  sent(encoded: string | Buffer): void {
    if (Buffer.isBuffer(encoded)) this.#writer.reuse(encoded)
  }
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
