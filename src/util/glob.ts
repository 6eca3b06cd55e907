/**
 * Matches text against a glob: `*` is any number of characters, `?` is one, everything else is itself.
 * https://spec.matrix.org/latest/appendices/#glob-style-matching
 */
export type GlobMatcher = (text: string) => boolean

export interface GlobOptions {
  readonly ignoreCase?: boolean
  /**
   * Match any part of the text that begins and ends at a word boundary instead of the whole text. A boundary is the
   * start or the end, or any character other than A-Z, a-z, 0-9 and `_`.
   */
  readonly words?: boolean
}

/**
 * Compiles a glob. Patterns come from strangers, so matching takes time proportional to the text times the pattern at
 * most: all places in the pattern that the text may have come to are followed at once, with no way back.
 */
export function compileGlob(pattern: string, options: GlobOptions = {}): GlobMatcher {
  const glob = options.ignoreCase ? pattern.toLowerCase() : pattern
  const fold = options.ignoreCase
    ? (text: string): string => text.toLowerCase()
    : (text: string): string => text
  if (!/[*?]/.test(glob)) {
    if (options.words) return (text) => containsWords(fold(text), glob)
    return (text) => fold(text) === glob
  }
  const symbols = Array.from(glob.replace(/\*+/g, '*'))
  const literals = glob.split(/[*?]+/).filter((literal) => literal !== '')
  return (text) => {
    const folded = fold(text)
    // Most texts lack a literal of the pattern, which is quick to see.
    if (!literals.every((literal) => folded.includes(literal))) return false
    return follow(symbols, Array.from(folded), options.words === true)
  }
}

/** Whether the characters, or a part between word boundaries, take the pattern from its start to its end. */
function follow(symbols: readonly string[], characters: readonly string[], words: boolean): boolean {
  const end = symbols.length
  let reached = new Uint8Array(end + 1)
  enter(reached, symbols, 0)
  for (let index = 0; index < characters.length; index++) {
    if (words && reached[end] === 1 && isBoundary(characters, index)) return true
    const character = characters[index]!
    const next = new Uint8Array(end + 1)
    for (let place = 0; place < end; place++) {
      if (reached[place] === 0) continue
      const symbol = symbols[place]!
      if (symbol === '*') enter(next, symbols, place)
      else if (symbol === '?' || symbol === character) enter(next, symbols, place + 1)
    }
    reached = next
    if (words && isBoundary(characters, index + 1)) enter(reached, symbols, 0)
  }
  return reached[end] === 1
}

/** Comes to a place of the pattern; a `*` there may also be skipped. */
function enter(reached: Uint8Array, symbols: readonly string[], place: number): void {
  reached[place] = 1
  if (symbols[place] === '*') reached[place + 1] = 1
}

/** Whether a part of the text may begin or end before the character at `index`. */
function isBoundary(characters: readonly string[], index: number): boolean {
  const before = characters[index - 1]
  const after = characters[index]
  return before === undefined || after === undefined || !isWordCharacter(before) || !isWordCharacter(after)
}

function isWordCharacter(character: string): boolean {
  return /^[A-Za-z0-9_]$/.test(character)
}

/** Whether a text contains another as it is, from one word boundary to another. */
export function containsWords(text: string, words: string): boolean {
  for (let start = text.indexOf(words); start !== -1; start = text.indexOf(words, start + 1)) {
    const end = start + words.length
    if (isWordBoundary(text, start) && isWordBoundary(text, end)) return true
  }
  return false
}

/** Whether a word may begin or end before the character at `index`. */
export function isWordBoundary(text: string, index: number): boolean {
  if (index === 0 || index === text.length) return true
  return !isWordCharacter(text[index - 1]!) || !isWordCharacter(text[index]!)
}
