import { styleText } from 'node:util'
import type { Level } from './finding.js'
import type { CheckResult } from './run-checks.js'

export interface PrintOptions {
  /** Colours and marks; without, the same in words. */
  readonly isTerminal: boolean
  /** Of the terminal, in characters. */
  readonly width: number
}

const WORDS: Readonly<Record<Level, string>> = { ok: 'ok', info: 'info', warning: 'WARNING', error: 'ERROR' }
const MARKS: Readonly<Record<Level, string>> = { ok: '✓', info: '·', warning: '!', error: '✗' }
const COLOURS = { ok: 'green', info: 'blue', warning: 'yellow', error: 'red' } as const
const NAME_WIDTH = 13
const LABEL_WIDTH = 7
const MIN_WIDTH = 50

/** The findings of one check, for people. */
export function printFindings({ check, findings }: CheckResult, options: PrintOptions): string {
  const lines = findings.flatMap(({ level, summary, consequence, cure, fixed }, index) => {
    const name = index === 0 ? check : ''
    const { isTerminal } = options
    const mark = isTerminal ? styleText(COLOURS[level], MARKS[level]) : WORDS[level].padEnd(7)
    const indent = (isTerminal ? 1 : 7) + NAME_WIDTH + 2
    const wrap = (text: string): string[] =>
      wrapped(text, isTerminal ? options.width - indent - LABEL_WIDTH : Infinity)
    const shown = name.padEnd(NAME_WIDTH)
    const head = `${mark} ${isTerminal ? styleText('bold', shown) : shown} `
    const [first = '', ...more] = wrap(summary)
    const following = [
      ...more.map((line) => `${' '.repeat(indent)}${line}`),
      ...labelled('so:', wrap(consequence ?? ''), indent),
      // Not wrapped: it is to be copied.
      ...labelled('to do:', cure === undefined ? [] : [cure], indent),
      ...labelled('done:', wrap(fixed ?? ''), indent),
    ]
    return [head + first, ...following]
  })
  return lines.join('\n')
}

function labelled(label: string, lines: readonly string[], indent: number): string[] {
  return lines
    .filter((line) => line !== '')
    .map((line, index) => `${' '.repeat(indent)}${(index === 0 ? label : '').padEnd(LABEL_WIDTH)}${line}`)
}

/** Lines of at most so many characters, where words allow it. */
function wrapped(text: string, width: number): string[] {
  const most = Math.max(width, MIN_WIDTH)
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > most) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

/** One line about all of it. */
export function summarize(results: readonly CheckResult[]): string {
  const levels = results.flatMap(({ findings }) => findings.map(({ level }) => level))
  const count = (wanted: Level): number => levels.filter((level) => level === wanted).length
  const errors = count('error')
  const warnings = count('warning')
  if (errors + warnings === 0) return 'Nothing is wrong.'
  const parts = [plural(errors, 'error'), plural(warnings, 'warning')].filter((part) => part !== '')
  return `${parts.join(' and ')}.`
}

function plural(count: number, word: string): string {
  if (count === 0) return ''
  return count === 1 ? `1 ${word}` : `${count} ${word}s`
}
