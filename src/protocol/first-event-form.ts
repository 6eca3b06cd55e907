import { isJsonObject, type JsonObject } from '../util/json.js'

/** What stands in `unsigned` now and stood beside everything else in the first versions. */
const ONCE_OUTSIDE = ['age', 'prev_content', 'replaces_state', 'redacted_because'] as const

/**
 * An event of a room as clients of the first versions look at it: its sender is `user_id` to them, and what the server
 * adds is beside the rest. What others read stays where it is. What is no event of a room remains as it is.
 */
export function inFirstForm(event: Readonly<JsonObject>): JsonObject {
  const { sender, event_id: eventId, unsigned } = event
  if (sender === undefined || eventId === undefined) return event
  const added = isJsonObject(unsigned) ? unsigned : {}
  const outside = ONCE_OUTSIDE.flatMap((key) => (added[key] === undefined ? [] : [[key, added[key]]]))
  return { ...event, user_id: sender, ...(Object.fromEntries(outside) as JsonObject) }
}
