import fc from 'fast-check'
import { ODD_TEXTS } from './odd-rows.js'

/** The text of a row as PostgreSQL's COPY would write it; null is NULL. */
export function rowOf(fields: readonly (string | null)[]): Buffer {
  return Buffer.from(`${fields.map(fieldOf).join('\u0002')}\n`)
}

const SPECIAL = ['\u0001', '\u0002', '\n', '\r'] as const

function fieldOf(field: string | null): string {
  if (field === null) return '\u0003'
  const isQuoted = SPECIAL.some((special) => field.includes(special)) || field === '\u0003'
  return isQuoted ? `\u0001${field.replaceAll('\u0001', '\u0001\u0001')}\u0001` : field
}

/** Texts that are hard to tell from what stands between them, and NULL. */
export function anyField(): fc.Arbitrary<string | null> {
  return fc.oneof(
    fc.constantFrom(null, ...ODD_TEXTS),
    fc.string({ unit: fc.constantFrom('\u0001', '\u0002', '\u0003', '\n', '\r', 'a', 'é') }),
    fc.integer().map(String),
  )
}
