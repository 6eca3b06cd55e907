import { isDeepStrictEqual } from 'node:util'
import { isMap, isScalar, LineCounter, parseDocument, stringify, type Pair, type YAMLMap } from 'yaml'
import { isJsonObject, type JsonObject } from '../util/json.js'
import { OLD_KEYS, type OldKeys } from './old-keys.js'

/** Some lines of a file that are replaced. */
export interface KeyChange {
  /** The keys that go. */
  readonly keys: readonly string[]
  /** Of the first line that goes, or before which lines come; counted from 1. */
  readonly line: number
  /** Without line breaks at their ends, as are the others. */
  readonly removed: readonly string[]
  readonly added: readonly string[]
}

/** A file with its old keys replaced. */
export interface MigratedText {
  readonly text: string
  readonly changes: readonly KeyChange[]
  /** Old keys that only somebody who knows what was meant can replace, and what to do. */
  readonly byHand: readonly { readonly key: string; readonly line: number; readonly message: string }[]
}

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
  readonly keys: readonly string[]
}

/**
 * Replaces old keys by those that say the same today. Everything else stays as it is, to the letter: comments, order,
 * quotes. `others`: keys that stand in other files of the same configuration. A text that is no YAML map is left alone.
 */
export function migrateKeys(text: string, others: ReadonlySet<string> = new Set()): MigratedText {
  const lines = new LineCounter()
  const document = parseDocument(text, { version: '1.1', uniqueKeys: false, lineCounter: lines })
  const root = document.contents
  const values: unknown = document.errors.length === 0 ? document.toJS() : undefined
  if (!isMap(root) || !isJsonObject(values)) return { text, changes: [], byHand: [] }
  const file = { text, root, values, others }
  const edits: Edit[] = []
  const byHand: MigratedText['byHand'][number][] = []
  for (const old of OLD_KEYS) {
    const pairs = root.items.filter(({ key }) => isScalar(key) && old.names.includes(String(key.value)))
    if (pairs.length === 0) continue
    const found = root.flow === true ? undefined : replace(file, old, pairs)
    if (found !== undefined) edits.push(...found)
    else {
      const start = startOf(pairs[0]!)
      const message = `say the same by ${Object.keys(old.translate(values)).join(' and ')}`
      byHand.push({
        key: old.names.find((name) => name in values)!,
        line: lines.linePos(start).line,
        message,
      })
    }
  }
  return { ...apply(text, edits, lines), byHand }
}

interface SourceFile {
  readonly text: string
  readonly root: YAMLMap
  readonly values: JsonObject
  readonly others: ReadonlySet<string>
}

/** Undefined: it cannot be done here. */
function replace(file: SourceFile, old: OldKeys, pairs: readonly Pair[]): Edit[] | undefined {
  const translated = old.translate(file.values)
  const isThere = (key: string): boolean => Object.hasOwn(file.values, key) || file.others.has(key)
  const missing = Object.entries(translated).filter(([key]) => !isThere(key))
  const present = Object.keys(translated).filter(isThere)
  if (present.length > 0 && old.besideNew === 'by hand' && !saysNothing(old, file.values)) return undefined
  const insertions: Edit[] = []
  if (old.besideNew === 'merged') {
    for (const key of present) {
      const insertion = insertInto(file, key, translated[key] as JsonObject)
      if (insertion === undefined) return undefined
      insertions.push(...insertion)
    }
  }
  const added = missing.length === 0 ? '' : stringify(Object.fromEntries(missing), { lineWidth: 0 })
  const removals = pairs.map((pair, index): Edit => ({
    ...linesOf(file.text, pair),
    text: index === 0 ? added : '',
    keys: [nameOf(pair)],
  }))
  return [...removals, ...insertions]
}

/** Whether the new keys say already what old and new ones say together. */
function saysNothing({ together }: OldKeys, values: JsonObject): boolean {
  const both = together?.(values)
  return both !== undefined && Object.keys(both).every((key) => isDeepStrictEqual(both[key], values[key]))
}

/** Puts settings at the beginning of a group that has none of their names; undefined where the group is in braces. */
function insertInto(
  { text, root, values }: SourceFile,
  key: string,
  settings: JsonObject,
): Edit[] | undefined {
  const group = values[key]
  const pair = root.items.findLast((item) => nameOf(item) === key)
  if (pair === undefined || !isMap(pair.value) || pair.value.flow === true || !isJsonObject(group))
    return undefined
  const missing = Object.entries(settings).filter(([name]) => !Object.hasOwn(group, name))
  const first = pair.value.items[0]
  if (first === undefined) return undefined
  const start = lineStart(text, startOf(first))
  const indent = text.slice(start, startOf(first))
  const added = missing.map(([name, value]) =>
    indented(stringify({ [name]: value }, { lineWidth: 0 }), indent),
  )
  return [{ start, end: start, text: added.join(''), keys: [key] }]
}

function indented(yaml: string, indent: string): string {
  return yaml.replace(/^(?=.)/gm, indent)
}

function nameOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : ''
}

function startOf({ key }: Pair): number {
  return isScalar(key) ? (key.range?.[0] ?? 0) : 0
}

/** The whole lines of a key and its value, with what is said behind them. */
function linesOf(text: string, pair: Pair): { start: number; end: number } {
  const start = lineStart(text, startOf(pair))
  const { value, key } = pair as Pair<{ range?: number[] }, { range?: number[] } | null>
  const valueEnd = value?.range?.[1] ?? key.range?.[1] ?? start
  if (valueEnd > start && text[valueEnd - 1] === '\n') return { start, end: valueEnd }
  const lineEnd = text.indexOf('\n', valueEnd)
  return { start, end: lineEnd === -1 ? text.length : lineEnd + 1 }
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1
}

function apply(text: string, edits: readonly Edit[], lines: LineCounter): Omit<MigratedText, 'byHand'> {
  let result = ''
  let end = 0
  const changes: KeyChange[] = []
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    result += text.slice(end, edit.start) + edit.text
    end = edit.end
    changes.push({
      keys: edit.keys,
      line: lines.linePos(edit.start).line,
      removed: toLines(text.slice(edit.start, edit.end)),
      added: toLines(edit.text),
    })
  }
  return { text: result + text.slice(end), changes }
}

function toLines(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}
