import { isJsonObject, type JsonObject } from '../util/json.js'
import type { Event } from './event.js'

/** What makes an event sticky, as it is called until it is specified. */
export const STICKY_FIELD = 'msc4354_sticky'
/** What an event for clients says under `unsigned` of how long it stays so. */
export const STICKY_TTL_FIELD = 'msc4354_sticky_duration_ttl_ms'

/** No event is sticky for longer. */
export const MAX_STICKY_MS = 60 * 60_000

/**
 * Until when an event that came at `receivedTs` is sticky, in milliseconds since the epoch; undefined where it is not.
 * Whoever dates an event into the future gains nothing by it.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4354
 */
export function stickyUntil(
  { json, originServerTs }: Pick<Event, 'json' | 'originServerTs'>,
  receivedTs: number,
): number | undefined {
  const sticky = (json as Partial<JsonObject>)[STICKY_FIELD]
  const durationMs = isJsonObject(sticky) ? sticky['duration_ms'] : undefined
  if (typeof durationMs !== 'number' || !Number.isInteger(durationMs) || durationMs < 0) return undefined
  return Math.min(originServerTs, receivedTs) + Math.min(durationMs, MAX_STICKY_MS)
}
