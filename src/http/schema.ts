import type { z } from 'zod'
import { badJson, invalidParam, missingParam, type MatrixError } from '../protocol/errors.js'

type Union = Extract<z.core.$ZodIssue, { code: 'invalid_union' }>

/** Which part of a request a schema describes. */
export type RequestPart = 'body' | 'query'

/**
 * What a schema makes of untrusted input. Throws for the first thing wrong with it: `M_MISSING_PARAM` for what is not
 * there, `M_BAD_JSON` for a wrong type in a body, otherwise `M_INVALID_PARAM`.
 */
export function applySchema<S extends z.ZodType>(schema: S, input: unknown, part: RequestPart): z.output<S> {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  throw toMatrixError(result.error.issues, input, part)
}

function toMatrixError(issues: readonly z.core.$ZodIssue[], input: unknown, part: RequestPart): MatrixError {
  const issue = issues[0]
  if (issue?.code === 'invalid_union' && issue.errors.length > 0)
    return toMatrixError(nearestAlternative(issue, input), input, part)
  if (issue === undefined) return invalidParam(`The ${part} is invalid`)
  const name = issue.path.map(String).join('.')
  if (name !== '' && valueAt(input, issue.path) === undefined) return missingParam(name)
  const message = `${name === '' ? part : name}: ${issue.message}`
  const isWrongType = issue.code === 'invalid_type' || issue.code === 'invalid_union'
  return isWrongType && part === 'body' ? badJson(message) : invalidParam(message)
}

/** What is wrong with the input as the alternative of a union that it has most of. */
function nearestAlternative({ path, errors }: Union, input: unknown): readonly z.core.$ZodIssue[] {
  const alternatives = errors.map((issues) =>
    issues.map((issue) => ({ ...issue, path: [...path, ...issue.path] })),
  )
  const missing = (issues: readonly z.core.$ZodIssue[]): number =>
    issues.filter((issue) => valueAt(input, issue.path) === undefined).length
  return alternatives.reduce((best, next) => (missing(next) < missing(best) ? next : best))
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Object.hasOwn(value, key) ? (value as Record<PropertyKey, unknown>)[key] : undefined
  }
  return value
}
