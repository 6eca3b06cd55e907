import type { JsonObject } from '../util/json.js'
import type { Event } from './event.js'
import { STICKY_FIELD } from './sticky-events.js'

/**
 * How an event is written for clients. `sync`: without the room ID, which the surroundings tell; `federation`: whole, as
 * servers exchange it. https://spec.matrix.org/latest/client-server-api/#room-event-format
 */
export type ClientEventFormat = 'client' | 'sync' | 'federation'

/** An event for clients. `unsigned` is what this server adds; what other servers have put there is left out. */
export function clientEventJson(
  event: Event,
  unsigned: JsonObject,
  format: ClientEventFormat = 'client',
): JsonObject {
  if (format === 'federation') {
    return { ...event.json, event_id: event.eventId, room_id: event.roomId, unsigned }
  }
  const sticky = (event.json as Partial<JsonObject>)[STICKY_FIELD]
  return {
    type: event.type,
    ...(event.stateKey !== undefined && { state_key: event.stateKey }),
    sender: event.sender,
    content: event.content,
    ...redactsEverywhere(event),
    origin_server_ts: event.originServerTs,
    event_id: event.eventId,
    ...(sticky !== undefined && { [STICKY_FIELD]: sticky }),
    ...(format === 'client' && { room_id: event.roomId }),
    unsigned,
  }
}

/**
 * Room versions differ in where a redaction names its target; clients find it in both places.
 * https://spec.matrix.org/latest/rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property
 */
function redactsEverywhere(event: Event): JsonObject {
  if (event.type !== 'm.room.redaction' || event.redacts === undefined) return {}
  return { content: { ...event.content, redacts: event.redacts }, redacts: event.redacts }
}
