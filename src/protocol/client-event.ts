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
  // Put together by assignment: answers have thousands of these, and spreading what is rarely there would show.
  const json: JsonObject = {
    type: event.type,
    sender: event.sender,
    content: event.content,
    origin_server_ts: event.originServerTs,
    event_id: event.eventId,
    unsigned,
  }
  if (event.stateKey !== undefined) json['state_key'] = event.stateKey
  if (format === 'client') json['room_id'] = event.roomId
  const sticky = (event.json as Partial<JsonObject>)[STICKY_FIELD]
  if (sticky !== undefined) json[STICKY_FIELD] = sticky
  if (event.type === 'm.room.redaction') addRedacts(json, event)
  return json
}

/**
 * Room versions differ in where a redaction names its target; clients find it in both places.
 * https://spec.matrix.org/latest/rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property
 */
function addRedacts(json: JsonObject, { content, redacts }: Event): void {
  if (redacts === undefined) return
  json['content'] = { ...content, redacts }
  json['redacts'] = redacts
}
