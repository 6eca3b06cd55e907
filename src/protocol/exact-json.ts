import type { JsonValue } from '../util/json.js'

/**
 * A number of a JSON text that JavaScript's own would not write as others do: an integer beyond ±(2^53 − 1), or one with
 * fraction or exponent.
 */
export class ExactNumber {
  /** In canonical JSON. */
  readonly text: string

  /** @param source the number as a JSON text has it */
  constructor(source: string) {
    if (/[.eE]/.test(source)) this.text = formatFraction(Number(source))
    else this.text = source === '-0' ? '0' : source
  }
}

/**
 * Parses JSON without rounding: numbers that are not integers within ±(2^53 − 1) are `ExactNumber`s, which only
 * `canonicalJson` understands. The text must be one that `JSON.parse` takes.
 */
export function parseExactJson(text: string): JsonValue {
  return new Parser(text).value()
}

/**
 * Room versions before 6 have numbers for which no canonical form is defined. Events that have them were hashed by
 * software that writes fractions like Python: `1.0`, `1e-05`, `1e+16`.
 */
export function formatFraction(value: number): string {
  const [digits = '', exponentText = ''] = value.toExponential().split('e')
  const exponent = Number(exponentText)
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
  }
  // JavaScript writes numbers of this size without an exponent too.
  const text = Object.is(value, -0) ? '-0' : String(value)
  return Number.isInteger(value) ? `${text}.0` : text
}

/** The index after the closing quote of the string that opens at `quote`; the text's end when it does not close. */
export function endOfString(text: string, quote: number): number {
  let end = quote
  for (;;) {
    end = text.indexOf('"', end + 1)
    if (end === -1) return text.length
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1
    if (backslashes % 2 === 0) return end + 1
  }
}

const BACKSLASH = 92
const WHITESPACE = /[ \t\n\r]*/y
const NUMBER = /-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/y
const LITERAL = /true|false|null/y

class Parser {
  readonly #text: string
  #index = 0

  constructor(text: string) {
    this.#text = text
  }

  value(): JsonValue {
    switch (this.#peek()) {
      case '{':
        return Object.fromEntries<JsonValue>(this.#list('}', () => this.#member()))
      case '[':
        return this.#list(']', () => this.value())
      case '"':
        return this.#string()
      case 't':
      case 'f':
      case 'n':
        return JSON.parse(this.#take(LITERAL)) as boolean | null
      default:
        return toNumber(this.#take(NUMBER))
    }
  }

  #string(): string {
    const start = this.#index
    this.#index = endOfString(this.#text, start)
    return JSON.parse(this.#text.slice(start, this.#index)) as string
  }

  #member(): [string, JsonValue] {
    this.#peek()
    const key = this.#string()
    this.#peek()
    this.#index += 1
    return [key, this.value()]
  }

  /** From an opening bracket through its closing one. */
  #list<T>(closing: string, item: () => T): T[] {
    const items: T[] = []
    this.#index += 1
    while (this.#peek() !== closing) {
      if (this.#peek() === ',') this.#index += 1
      items.push(item())
    }
    this.#index += 1
    return items
  }

  /** The next character that is not white space. */
  #peek(): string {
    this.#take(WHITESPACE)
    return this.#text.charAt(this.#index)
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#index
    const taken = pattern.exec(this.#text)?.[0]
    if (taken === undefined) throw new SyntaxError('The text is not JSON')
    this.#index += taken.length
    return taken
  }
}

function toNumber(source: string): JsonValue {
  const number = Number(source)
  const isExact = Number.isSafeInteger(number) && !/[.eE]/.test(source) && source !== '-0'
  return isExact ? number : (new ExactNumber(source) as unknown as JsonValue)
}
