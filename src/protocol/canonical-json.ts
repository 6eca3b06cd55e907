import type { JsonObject, JsonValue } from '../util/json.js'
import { badJson } from './errors.js'
import { endOfString, ExactNumber, formatFraction } from './exact-json.js'

/**
 * Deeper values are refused, before recursion runs out of stack. Nobody nests like that in good faith, and others
 * refuse far less.
 */
const MAX_NESTING = 1000

/** Objects whose keys are not in canonical order. */
const UNSORTED = 1
/** Numbers that are not integers within ±(2^53 − 1), and negative zero. */
const INEXACT = 2

/**
 * The shortest JSON with keys in the order of their code points. Takes `ExactNumber`s, and writes fractions, which
 * room versions before 6 allow, as they do; negative zero as zero. Members that are `undefined` are left out. Throws
 * 400 `M_BAD_JSON` where there is no such form: infinite numbers, lone surrogates, more than 1000 levels.
 * https://spec.matrix.org/latest/appendices/#canonical-json
 */
export function canonicalJson(value: JsonValue): string {
  const needsCare = inspect(value, 0) !== 0
  // What is in order already, as events that we made or have read once are, is written by the engine: in half the time.
  const text = needsCare ? write(value, sortByUnits) : JSON.stringify(value)
  if (!isAscii(text) && hasKeyBeyondBmp(value)) return write(value, sortByCodePoints)
  if (!needsCare && text.includes('\\ud')) checkWellFormed(value)
  return text
}

/**
 * Whether all numbers are integers within ±(2^53 − 1) and none is negative zero. What `JSON.parse` has rounded is not
 * seen here: see `hasOnlyIntegers`. Throws like `canonicalJson`.
 */
export function isStrictJson(value: JsonValue): boolean {
  return (inspect(value, 0) & INEXACT) === 0
}

/**
 * Whether a JSON text writes every number as canonical JSON does: no fraction, exponent or negative zero, all of which
 * `JSON.parse` may turn into an ordinary integer. The text must be valid JSON; one of many values will do, such as the
 * body of a transaction.
 */
export function hasOnlyIntegers(text: string): boolean {
  let start = 0
  for (;;) {
    const quote = text.indexOf('"', start)
    const end = quote === -1 ? text.length : quote
    for (let index = start; index < end; index++) {
      const char = text.charCodeAt(index)
      if (char === DOT) return false
      if ((char | LOWER_CASE) === E && isDigit(text.charCodeAt(index - 1))) return false
      if (char === MINUS && text.charCodeAt(index + 1) === ZERO) return false
    }
    if (quote === -1) return true
    start = endOfString(text, quote)
  }
}

/**
 * The value with the keys of all objects in the order of `<`, which makes `canonicalJson` faster from then on; the value
 * itself where they already are. Keys that look like array indexes cannot be moved. Throws like `canonicalJson`.
 */
export function sortKeys<T extends JsonValue>(value: T): T {
  return (inspect(value, 0) & UNSORTED) === 0 ? value : (sorted(value) as T)
}

const DOT = 46
const E = 101
const MINUS = 45
const ZERO = 48
const LOWER_CASE = 32

function isDigit(char: number): boolean {
  return char >= 48 && char <= 57
}

/** Everything that must be known of a value, in one walk: a union of `UNSORTED` and `INEXACT`. */
function inspect(value: JsonValue, level: number): number {
  if (typeof value === 'number') return inspectNumber(value)
  if (typeof value !== 'object' || value === null) return 0
  if (level > MAX_NESTING) throw badJson('The JSON is nested too deeply')
  if (value instanceof ExactNumber) return INEXACT
  let found = 0
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item !== 'string') found |= inspect(item, level + 1)
    return found
  }
  let previous = ''
  for (const key in value) {
    if (key < previous) found |= UNSORTED
    previous = key
    const member = value[key]
    if (typeof member !== 'string' && member !== undefined) found |= inspect(member, level + 1)
  }
  return found
}

function inspectNumber(value: number): number {
  if (!Number.isFinite(value)) throw badJson('A number of the JSON is out of range')
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? 0 : INEXACT
}

/** Strings compare by UTF-16 units, which is the order of code points as long as no key has a surrogate. */
function hasKeyBeyondBmp(value: JsonValue): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(hasKeyBeyondBmp)
  return Object.keys(value).some((key) => SURROGATE.test(key) || hasKeyBeyondBmp(value[key] ?? null))
}

const SURROGATE = /[\ud800-\udfff]/
/** What JSON writes as it is; surrogates have yet to prove that they come in pairs. */
const PLAIN = /^[ !#-[\]-\ud7ff\ue000-\uffff]*$/

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length
}

function checkWellFormed(value: JsonValue): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw badJson('A text of the JSON has half a surrogate pair')
  } else if (Array.isArray(value)) {
    value.forEach(checkWellFormed)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, member] of Object.entries(value)) {
      checkWellFormed(key)
      checkWellFormed(member)
    }
  }
}

type Sort = (keys: string[]) => string[]

function write(value: JsonValue, sort: Sort): string {
  if (typeof value === 'string') return writeString(value)
  if (typeof value === 'number') {
    return Number.isInteger(value) ? JSON.stringify(value) : formatFraction(value)
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (value instanceof ExactNumber) return value.text
  let text = ''
  if (Array.isArray(value)) {
    for (const item of value) text += (text === '' ? '' : ',') + write(item, sort)
    return `[${text}]`
  }
  for (const key of sort(Object.keys(value))) {
    const member = value[key]
    if (member === undefined) continue
    text += (text === '' ? '' : ',') + writeString(key) + ':' + write(member, sort)
  }
  return `{${text}}`
}

function writeString(value: string): string {
  if (PLAIN.test(value)) return `"${value}"`
  if (!value.isWellFormed()) throw badJson('A text of the JSON has half a surrogate pair')
  return JSON.stringify(value)
}

/** In the order of `<`. */
function sortByUnits(keys: string[]): string[] {
  // Objects are small, and nearly in order: what the engine's sort costs before it begins would be most of it.
  if (keys.length > 32) return keys.sort()
  for (let index = 1; index < keys.length; index++) {
    const key = keys[index]!
    let place = index
    for (; place > 0 && keys[place - 1]! > key; place--) keys[place] = keys[place - 1]!
    keys[place] = key
  }
  return keys
}

function sortByCodePoints(keys: string[]): string[] {
  return keys.sort(compareCodePoints)
}

/** Like `<` on UTF-8: surrogates, which stand for what is beyond U+FFFF, come after all else. */
function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index)
    const right = b.charCodeAt(index)
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

function sorted(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof ExactNumber) return value
  if (Array.isArray(value)) return value.map(sorted)
  const copy: JsonObject = {}
  for (const key of sortByUnits(Object.keys(value))) {
    const member = value[key]
    if (member === undefined) continue
    // An assignment would take it for the prototype.
    if (key === '__proto__') Object.defineProperty(copy, key, { ...OWN_MEMBER, value: sorted(member) })
    else copy[key] = sorted(member)
  }
  return copy
}

const OWN_MEMBER = { configurable: true, enumerable: true, writable: true }
