import { z } from 'zod'
import { invalidParam } from '../../protocol/errors.js'
import type { Requester } from '../../services/accounts/requester.js'

/** The query of requests for which application services may say when an event happened. */
export const timestampQuery = { ts: z.string().optional() }

/**
 * When the event happened, in milliseconds, where an application service says so; of others it is not asked. Throws
 * `M_INVALID_PARAM` for what is no such number.
 * https://spec.matrix.org/latest/application-service-api/#timestamp-massaging
 */
export function timestampOf(
  { appserviceId }: Pick<Requester, 'appserviceId'>,
  { ts }: { readonly ts?: string | undefined },
): number | undefined {
  if (appserviceId === undefined || ts === undefined) return undefined
  const milliseconds = /^\d{1,16}$/.test(ts) ? Number(ts) : NaN
  if (!Number.isSafeInteger(milliseconds)) throw invalidParam('ts must be a number of milliseconds')
  return milliseconds
}
