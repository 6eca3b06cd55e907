import type { z } from 'zod'
import { badJson, invalidParam, missingParam, type MatrixError } from '../protocol/errors.js'

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
  if (issue === undefined) return invalidParam(`The ${part} is invalid`)
  const name = issue.path.map(String).join('.')
  if (name !== '' && valueAt(input, issue.path) === undefined) return missingParam(name)
  const message = `${name === '' ? part : name}: ${issue.message}`
  const isWrongType = issue.code === 'invalid_type' || issue.code === 'invalid_union'
  return isWrongType && part === 'body' ? badJson(message) : invalidParam(message)
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Object.hasOwn(value, key) ? (value as Record<PropertyKey, unknown>)[key] : undefined
  }
  return value
}
