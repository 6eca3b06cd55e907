import type { JsonObject, JsonValue } from '../util/json.js'

/** How long a room wants its messages to be kept, in milliseconds. */
export interface RetentionPolicy {
  readonly minLifetimeMs: number | undefined
  readonly maxLifetimeMs: number | undefined
}

/** The type of the state that says so. https://github.com/matrix-org/matrix-spec-proposals/pull/1763 */
export const RETENTION_TYPE = 'm.room.retention'

/** The content of `m.room.retention`; what is no lifetime counts as absent. */
export function parseRetentionPolicy(content: JsonObject): RetentionPolicy {
  return {
    minLifetimeMs: lifetime(content['min_lifetime']),
    maxLifetimeMs: lifetime(content['max_lifetime']),
  }
}

function lifetime(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}
