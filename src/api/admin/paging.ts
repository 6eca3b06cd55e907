import { z } from 'zod'
import { invalidParam } from '../../protocol/errors.js'

/** A number of entries, or of bytes. */
export const count = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number)

/** `true` and `false` as queries have them. */
export const flagParam = z
  .enum(['true', 'false'])
  .optional()
  .transform((value) => (value === undefined ? undefined : value === 'true'))

/** Pages of lists: `from` entries are passed over, at most `limit` are given. */
export const pageParams = {
  from: count.default(0),
  limit: count.pipe(z.number().min(1).max(10_000)).default(100),
}

/** A time in milliseconds since 1970. */
export const timeParam = count

/** `f`orwards or `b`ackwards. */
export const directionParam = z.enum(['f', 'b']).optional()

/** Where the next page begins, for as long as there is one. */
export function nextOf(page: { from: number; limit: number }, total: number): number | undefined {
  const next = page.from + page.limit
  return next < total ? next : undefined
}

/** The number of a report in a path. Throws `M_INVALID_PARAM`. */
export function toReportId(text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw invalidParam('The report_id parameter must be a string representing a positive integer.')
  }
  return Number(text)
}
