const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d]

export interface JsonMeasure {
  /** How deep lists and objects stand in each other. */
  readonly depth: number
  /**
   * Values in lists and objects, and names of members: what a text takes when it has been parsed depends on these, up to
   * some hundred bytes each, and hardly on its length.
   */
  readonly parts: number
}

/**
 * How much a JSON text will be, told before it is parsed, so that nothing deep or of too many parts is ever built. Of what
 * is no JSON it says something.
 */
export function measureJson(text: string): JsonMeasure {
  let open = 0
  let depth = 0
  let parts = 0
  let inString = false
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (inString) {
      if (code === BACKSLASH) index++
      else if (code === QUOTE) inString = false
    } else if (code === QUOTE) inString = true
    else if (code === COMMA || code === COLON) parts++
    else if (code === OPEN_BRACKET || code === OPEN_BRACE) {
      parts++
      if (++open > depth) depth = open
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) open--
  }
  return { depth, parts }
}
