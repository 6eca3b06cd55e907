/** A method of Python's, as templates call it: with a text or a map, and what stands in the brackets. */
type Method<Self> = (self: Self, args: readonly unknown[]) => unknown

/** https://docs.python.org/3/library/stdtypes.html#string-methods; of those, what makes names of claims. */
const TEXT_METHODS: ReadonlyMap<string, Method<string>> = new Map<string, Method<string>>([
  ['capitalize', (text) => text.charAt(0).toUpperCase() + text.slice(1).toLowerCase()],
  ['casefold', (text) => text.toLowerCase()],
  ['endswith', (text, [end]) => affixes(end).some((one) => text.endsWith(one))],
  ['lower', (text) => text.toLowerCase()],
  ['lstrip', (text, [characters]) => strip(text, characters, '^')],
  [
    'removeprefix',
    (text, [start]) => (text.startsWith(textOf(start)) ? text.slice(textOf(start).length) : text),
  ],
  ['removesuffix', (text, [end]) => withoutSuffix(text, textOf(end))],
  ['replace', (text, [from, to, count]) => replace(text, textOf(from), textOf(to), limitOf(count))],
  ['rstrip', (text, [characters]) => strip(text, characters, '$')],
  ['split', (text, [separator, count]) => split(text, separator, limitOf(count))],
  ['startswith', (text, [start]) => affixes(start).some((one) => text.startsWith(one))],
  ['strip', (text, [characters]) => strip(strip(text, characters, '^'), characters, '$')],
  [
    'title',
    (text) => text.toLowerCase().replace(/\p{L}+/gu, (word) => word.charAt(0).toUpperCase() + word.slice(1)),
  ],
  ['upper', (text) => text.toUpperCase()],
])

/** https://docs.python.org/3/library/stdtypes.html#mapping-types-dict */
const MAP_METHODS: ReadonlyMap<string, Method<object>> = new Map<string, Method<object>>([
  [
    'get',
    (map, [name, fallback]) =>
      Object.hasOwn(map, String(name)) ? (Reflect.get(map, String(name)) as unknown) : fallback,
  ],
  ['items', (map) => Object.entries(map)],
  ['keys', (map) => Object.keys(map)],
  ['values', (map) => Object.values(map) as unknown[]],
])

/** What a template finds under a name that no claim has; undefined: nothing of Python's. */
export function pythonMethodOf(self: unknown, name: unknown): ((...args: unknown[]) => unknown) | undefined {
  if (typeof name !== 'string') return undefined
  if (typeof self === 'string') {
    const method = TEXT_METHODS.get(name)
    return method && ((...args) => method(self, args))
  }
  if (typeof self !== 'object' || self === null || Array.isArray(self)) return undefined
  const method = MAP_METHODS.get(name)
  return method && ((...args) => method(self, args))
}

function textOf(argument: unknown): string {
  if (typeof argument !== 'string') throw new TypeError('a method of texts takes texts')
  return argument
}

/** How often, where it is said. */
function limitOf(argument: unknown): number {
  return typeof argument === 'number' && argument >= 0 ? argument : Infinity
}

function affixes(argument: unknown): string[] {
  return Array.isArray(argument) ? argument.map(textOf) : [textOf(argument)]
}

function withoutSuffix(text: string, end: string): string {
  return end !== '' && text.endsWith(end) ? text.slice(0, -end.length) : text
}

function strip(text: string, characters: unknown, side: '^' | '$'): string {
  const isStripped =
    characters === undefined || characters === null
      ? (character: string) => character.trim() === ''
      : (character: string) => textOf(characters).includes(character)
  let [start, end] = [0, text.length]
  if (side === '^') while (start < end && isStripped(text.charAt(start))) start++
  else while (end > start && isStripped(text.charAt(end - 1))) end--
  return text.slice(start, end)
}

function replace(text: string, from: string, to: string, limit: number): string {
  if (from === '') throw new TypeError('nothing cannot be replaced')
  const parts = text.split(from)
  const replaced = parts.slice(0, limit + 1).join(to)
  return [replaced, ...parts.slice(limit + 1)].join(from)
}

function split(text: string, separator: unknown, limit: number): string[] {
  if (separator === undefined || separator === null) {
    const words = text.split(/\s+/u).filter((word) => word !== '')
    return words.length <= limit + 1 ? words : [...words.slice(0, limit), words.slice(limit).join(' ')]
  }
  const by = textOf(separator)
  if (by === '') throw new TypeError('a text cannot be split by nothing')
  const parts = text.split(by)
  return parts.length <= limit + 1 ? parts : [...parts.slice(0, limit), parts.slice(limit).join(by)]
}
