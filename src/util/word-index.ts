import { isWordBoundary } from './glob.js'
import { pushTo } from './group-by.js'

/** Longer names are never found. */
const MAX_NAME_LENGTH = 512
/** Comparisons in one text, after which no more names are found there. */
const MAX_COMPARISONS = 50_000

interface Entry<T> {
  readonly name: string
  readonly values: T[]
}

/**
 * Tells which of many names stand in a text, without regard to case and from one word boundary to another, in time that
 * depends on the text and hardly on the number of names. Both come from strangers: time is bounded.
 */
export class WordIndex<T> {
  /** By what a name starts with: a whole word, or one character that is no part of a word. */
  readonly #starts = new Map<string, Entry<T>[]>()
  readonly #size: number

  constructor(named: Iterable<readonly [name: string, value: T]>) {
    const entries = new Map<string, Entry<T>>()
    let size = 0
    for (const [given, value] of named) {
      const name = given.toLowerCase()
      if (name === '' || name.length > MAX_NAME_LENGTH) continue
      size++
      const known = entries.get(name)
      if (known !== undefined) {
        known.values.push(value)
        continue
      }
      const entry = { name, values: [value] }
      entries.set(name, entry)
      const start = startAt(name, 0)
      pushTo(this.#starts, start, entry)
    }
    this.#size = size
  }

  /** How many names there are. */
  get size(): number {
    return this.#size
  }

  /** What the names in the text stand for, each once. */
  find(given: string): Set<T> {
    const found = new Set<T>()
    if (this.#size === 0) return found
    const text = given.toLowerCase()
    let comparisons = 0
    for (let index = 0; index < text.length;) {
      const start = startAt(text, index)
      for (const { name, values } of this.#starts.get(start) ?? []) {
        if (++comparisons > MAX_COMPARISONS) return found
        if (!text.startsWith(name, index) || !isWordBoundary(text, index + name.length)) continue
        for (const value of values) found.add(value)
      }
      index += start.length
    }
    return found
  }
}

const WORD = /\w+/y

/** The word that begins here, or the one character that is no part of a word. */
function startAt(text: string, index: number): string {
  WORD.lastIndex = index
  return WORD.exec(text)?.[0] ?? text.charAt(index)
}
