/** Scripts that put no spaces between words, or, as Korean, put particles at the end of them. */
const UNSPACED = String.raw`\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}`
/** A flag is two letters that are no others. */
const PICTURE = String.raw`\p{Extended_Pictographic}|\p{Regional_Indicator}{1,2}`
/** One character of those scripts with its marks, a word of other scripts, or a picture. */
const WORD = new RegExp(
  String.raw`(?:(?=[\p{L}\p{N}])[${UNSPACED}])\p{M}*|(?:(?![${UNSPACED}])[\p{L}\p{N}]|\p{M})+|${PICTURE}`,
  'gu',
)
/** The same in texts that have nothing else, many times as fast. */
const ASCII_WORD = /[a-z0-9]+/g
const NOT_ASCII = /[\u0080-\uffff]/
/** A run of characters that belong together when names are looked for: unspaced scripts are not taken apart. */
const RUN = new RegExp(String.raw`[\p{L}\p{N}\p{M}]+|${PICTURE}`, 'gu')
const HAS_PICTURE = new RegExp(PICTURE, 'u')
const IS_UNSPACED = new RegExp(String.raw`[${UNSPACED}]`, 'u')
/**
 * Accents of European scripts, variants of pictures, what only tells how to join or break, and the marks of vowels that
 * Hebrew and Arabic are written with or without.
 */
const IGNORED =
  /[\u0300-\u036f]|[\u00ad\u200b-\u200d]|[\ufe0e\ufe0f]|[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c7]|[\u064b-\u0652\u0670]|\u0640/g
/** Letters that are no combination of a letter and an accent, but taken for one by those who look for them. */
const LOOKALIKES: Readonly<Record<string, string>> = {
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  ħ: 'h',
  ŧ: 't',
  þ: 'th',
  æ: 'ae',
  œ: 'oe',
  ς: 'σ',
}
const LOOKALIKE = new RegExp(`[${Object.keys(LOOKALIKES).join('')}]`, 'g')

/** Longer texts are cut: nothing that is found by words is that long. */
const MAX_TEXT_LENGTH = 64 * 1024
/** Longer words are cut, in UTF-16 code units. */
const MAX_WORD_LENGTH = 64

const segmenter = new Intl.Segmenter('und', { granularity: 'word' })

/**
 * A text as it is compared: without case, accents and compatibility variants. Always well-formed and without NUL, so
 * that databases take it.
 */
export function foldText(text: string): string {
  const part = text.slice(0, MAX_TEXT_LENGTH)
  if (isAscii(part)) return part.toLowerCase().replaceAll('\0', '')
  return part
    .toWellFormed()
    .normalize('NFKD')
    .replace(IGNORED, '')
    .toUpperCase()
    .toLowerCase()
    .replace(LOOKALIKE, (letter) => LOOKALIKES[letter] ?? letter)
    .normalize('NFKC')
    .replaceAll('\0', '')
}

/**
 * The words of a text in order, folded: of scripts without spaces each character, so that any part of such a text is
 * found as a phrase, wherever one takes its words to end.
 */
export function wordsOf(text: string, limit = 10_000): string[] {
  return wordsOfFolded(foldText(text), limit)
}

/** What somebody looks for: all of `phrases`, the words of each one after the other; and how they wrote it. */
export interface SearchTerm {
  readonly phrases: readonly (readonly string[])[]
  /** For marking what was found: whole words also of scripts without spaces. */
  readonly highlights: readonly string[]
}

const MAX_PHRASES = 50

/** Takes a search term apart at the boundaries of words; what stands in double quotes belongs together. */
export function parseSearchTerm(term: string): SearchTerm {
  const phrases: string[][] = []
  const highlights = new Set<string>()
  for (const [part, isQuoted] of quotedParts(foldText(term))) {
    for (const chunk of isQuoted ? [part] : segmentsOf(part)) {
      const phrase = wordsOfFolded(chunk, 100)
      if (phrase.length === 0 || phrases.length >= MAX_PHRASES) continue
      phrases.push(phrase)
      if (isQuoted) for (const word of segmentsOf(chunk)) highlights.add(word)
      else highlights.add(chunk)
    }
  }
  return { phrases, highlights: [...highlights] }
}

/** How much of a text is looked at for the ways in which words are written in it. */
const MAX_SPELLED_LENGTH = 2_000

/** How words that are compared as `highlights` are written in a text, where that differs in more than case. */
export function spellingsIn(text: string, highlights: ReadonlySet<string>): string[] {
  const part = text.slice(0, MAX_SPELLED_LENGTH)
  if (highlights.size === 0 || isAscii(part)) return []
  const words = new Set([...segmentsOf(part)].map((word) => word.toLowerCase()))
  return [...words].filter((word) => !highlights.has(word) && highlights.has(foldText(word)))
}

/**
 * What a name is found by: the beginnings of these. Of scripts without spaces there is one for each character that a run
 * can be entered at.
 */
export function nameTermsOf(name: string, limit = 64): string[] {
  const terms = new Set<string>()
  for (const [run] of foldText(name).matchAll(RUN)) {
    const entries = IS_UNSPACED.test(run) ? suffixesOf(run) : [run]
    for (const term of entries) {
      if (terms.size >= limit) return [...terms]
      terms.add(cut(term))
    }
  }
  return [...terms]
}

/** What somebody types to find a name: each must be the beginning of one of its terms. */
export function namePrefixesOf(text: string, limit = 10): string[] {
  const runs = [...foldText(text).matchAll(RUN)].map(([run]) => cut(run))
  return [...new Set(runs)].slice(0, limit)
}

function wordsOfFolded(folded: string, limit: number): string[] {
  const words = folded.match(isAscii(folded) ? ASCII_WORD : WORD) ?? []
  return words.slice(0, limit).map(cut)
}

function* quotedParts(text: string): Iterable<readonly [part: string, isQuoted: boolean]> {
  const parts = text.split('"')
  // An odd quotation mark at the end quotes nothing.
  for (const [index, part] of parts.entries()) yield [part, index % 2 === 1 && index < parts.length - 1]
}

function* segmentsOf(text: string): Iterable<string> {
  for (const { segment, isWordLike } of segmenter.segment(text)) {
    if (isWordLike === true || HAS_PICTURE.test(segment)) yield segment
  }
}

function suffixesOf(run: string): string[] {
  const characters = [...run.matchAll(/.\p{M}*/gsu)]
  return characters.map(({ index }) => run.slice(index))
}

function isAscii(text: string): boolean {
  return !NOT_ASCII.test(text)
}

function cut(word: string): string {
  return word.length <= MAX_WORD_LENGTH ? word : word.slice(0, MAX_WORD_LENGTH).toWellFormed()
}
