import { z } from 'zod'
import { isJsonObject, type JsonObject } from '../util/json.js'
import { parseDurationMs, parseSize } from './units.js'

/**
 * Building blocks of the configuration's schema. The message of every issue is what was expected, as a phrase that
 * completes "expected ..."; `load.ts` adds where and what was found. Nothing (`key:`) counts as absent everywhere.
 */
export function value<T>(expectation: string, parse: (raw: unknown) => T | undefined): z.ZodType<T> {
  return z.unknown().transform((raw, context): T => {
    const parsed = parse(raw)
    if (parsed !== undefined) return parsed
    context.addIssue({ code: 'custom', message: expectation })
    return z.NEVER
  })
}

export const flag = value('true or false', (raw) => (typeof raw === 'boolean' ? raw : undefined))

export const text = value('a text', (raw) => (typeof raw === 'string' ? raw : undefined))

/** A text that YAML may have taken for a number, as a version. */
export const looseText = value('a text', (raw) =>
  typeof raw === 'string' || typeof raw === 'number' ? String(raw) : undefined,
)

/** Not below zero. */
export const quantity = value('a number that is not negative', (raw) =>
  typeof raw === 'number' && Number.isFinite(raw) && raw >= 0 ? raw : undefined,
)

/** A whole number within bounds, both included. */
export function integer(min = 0, max = Number.MAX_SAFE_INTEGER): z.ZodType<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
  return value(`a whole number ${range}`, (raw) =>
    typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= min && raw <= max ? raw : undefined,
  )
}

/** Milliseconds. */
export const duration = value(
  'a duration: a whole number of milliseconds, or one with a unit of s, m, h, d, w or y, such as 30s or 7d',
  parseDurationMs,
)

/** Bytes, or entries of a cache. */
export const size = value(
  'a size: a whole number, or one with a unit of K, M, G or T, such as 50M',
  parseSize,
)

export const httpUrl = value('a URL that begins with http:// or https://', (raw) =>
  typeof raw === 'string' && /^https?:\/\//.test(raw) && URL.canParse(raw) ? raw : undefined,
)

export const jsonObject = value<JsonObject>('a map', (raw) => (isJsonObject(raw) ? raw : undefined))

export function choice<const T extends string>(...choices: readonly T[]): z.ZodType<T> {
  return value(`one of ${choices.join(', ')}`, (raw) => choices.find((known) => known === raw))
}

export function listOf<T>(element: z.ZodType<T>, what = 'a list'): z.ZodType<readonly T[]> {
  return z.array(element, { error: what })
}

export function mapOf<T>(element: z.ZodType<T>, what = 'a map'): z.ZodType<Readonly<Record<string, T>>> {
  return z.record(z.string(), element, { error: what })
}

/** A map with settings of its own, each of which may be left out if it has a default. */
export function group<const Shape extends z.ZodRawShape>(shape: Shape) {
  return z
    .unknown()
    .transform((raw) => raw ?? {})
    .pipe(z.object(shape, { error: 'a map' }))
    .optional()
    .transform((raw) => raw ?? z.object(shape).parse({}))
}

export function optional<T>(schema: z.ZodType<T>) {
  return schema.nullish().transform((raw): T | undefined => raw ?? undefined)
}

export function withDefault<T>(schema: z.ZodType<T>, fallback: T) {
  return schema.nullish().transform((raw): T => raw ?? fallback)
}

/** Where nothing (`key: null`) means something else than the absence of the key. */
export function nullable<T>(schema: z.ZodType<T>, fallback: T) {
  return schema
    .nullish()
    .transform((raw): T | undefined => (raw === undefined ? fallback : (raw ?? undefined)))
}
