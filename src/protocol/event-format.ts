import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { canonicalJson, hasOnlyIntegers, isStrictJson, sortKeys } from './canonical-json.js'
import {
  MAX_AUTH_EVENTS,
  MAX_DEPTH_V1,
  MAX_EVENT_BYTES,
  MAX_EVENT_FIELD_BYTES,
  MAX_PREV_EVENTS,
} from './constants.js'
import { badJson, tooLarge } from './errors.js'
import { Event, type PduJson } from './event.js'
import { parseExactJson } from './exact-json.js'
import { eventIdOf, roomIdOfCreate } from './hashes.js'
import { fitsBytes, parseEventId, parseRoomId, parseUserId, type EventId, type RoomId } from './ids.js'
import type { RoomVersionRules } from './room-versions.js'

export interface FormatOptions {
  /** Any number of previous and auth events: for events of the past, which had more of them. */
  readonly anyReferences?: boolean
}

/**
 * Takes an event from another server: the first check on receipt. Hashes and signatures are not checked. `unsigned`,
 * which nobody vouches for, is dropped.
 * @param source the event's JSON text; or what it was parsed to, where `hasOnlyIntegers` was true of the text
 * @throws 400 `M_BAD_JSON` when it is not in the format of the room version, 413 `M_TOO_LARGE` beyond the limits of size
 * https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export function parseEvent(
  rules: RoomVersionRules,
  source: string | JsonObject,
  options: FormatOptions = {},
): Event {
  const { json: parsed, isExact } =
    typeof source === 'string' ? parseText(source) : { json: source, isExact: true }
  const json = sortKeys(withoutUnsigned(parsed))
  const hasExactNumbers = isExact && isStrictJson(json)
  if (rules.strictCanonicalJson && !hasExactNumbers) {
    throw badJson('The event has a number that is not an integer within ±(2^53 − 1)')
  }
  checkFields(rules, json, options)
  const pdu = json as PduJson
  const exact =
    hasExactNumbers || typeof source !== 'string'
      ? undefined
      : withoutUnsigned(parseExactJson(source) as JsonObject)
  const eventId = eventIdOf(rules, (exact as PduJson | undefined) ?? pdu)
  if (eventId === undefined) throw malformed('event_id')
  const event = new Event(rules, pdu, {
    eventId,
    roomId: pdu.room_id === undefined ? roomIdOfCreate(eventId) : (pdu.room_id as RoomId),
    exactText: exact && canonicalJson(exact),
  })
  checkEventSize(event)
  return event
}

/** The event of a text that `toText` gave. It is not checked again. */
export function restoreEvent(
  rules: RoomVersionRules,
  text: string,
  ids: { readonly eventId: EventId; readonly roomId: RoomId },
): Event {
  const json = JSON.parse(text) as PduJson
  const isExact = rules.strictCanonicalJson || (hasOnlyIntegers(text) && isStrictJson(json as JsonObject))
  return new Event(rules, json, { ...ids, exactText: isExact ? undefined : text })
}

export interface SizeOptions {
  /** The size of the event's canonical JSON, where it is known. */
  readonly bytes?: number
  /** This server has made it: the limits are those of today, whatever the room version. */
  readonly isOwn?: boolean
}

/**
 * Throws 413 `M_TOO_LARGE` when an event or one of its fields exceeds the limits.
 * https://spec.matrix.org/latest/client-server-api/#size-limits
 */
export function checkEventSize(event: Event, { bytes, isOwn = false }: SizeOptions = {}): void {
  const { json } = event
  for (const key of LIMITED_FIELDS) {
    const value = json[key]
    if (typeof value === 'string' && !fitsField(value, isOwn || event.rules.fieldsMeasuredInBytes)) {
      throw tooLarge(`The event's ${key} has more than ${MAX_EVENT_FIELD_BYTES} bytes`)
    }
  }
  if ((bytes ?? Buffer.byteLength(event.exactText ?? canonicalJson(json as JsonObject))) > MAX_EVENT_BYTES) {
    throw tooLarge(`The event has more than ${MAX_EVENT_BYTES} bytes`)
  }
}

/** Rooms of earlier versions have events that were measured in code points. */
function fitsField(value: string, isMeasuredInBytes: boolean): boolean {
  if (fitsBytes(value, MAX_EVENT_FIELD_BYTES)) return true
  // A code point has at most four bytes.
  if (isMeasuredInBytes || !fitsBytes(value, 4 * MAX_EVENT_FIELD_BYTES)) return false
  return Array.from(value).length <= MAX_EVENT_FIELD_BYTES
}

const LIMITED_FIELDS = ['event_id', 'room_id', 'sender', 'state_key', 'type'] as const

function parseText(text: string): { json: JsonObject; isExact: boolean } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw badJson('The event is not JSON')
  }
  if (!isJsonObject(json)) throw badJson('The event is not a JSON object')
  return { json, isExact: hasOnlyIntegers(text) }
}

function withoutUnsigned(json: JsonObject): JsonObject {
  const { unsigned: _unsigned, ...signed } = json
  return signed
}

/** https://spec.matrix.org/latest/rooms/v12/#event-format-1 and the same of earlier versions. */
function checkFields(rules: RoomVersionRules, json: JsonObject, { anyReferences }: FormatOptions): void {
  checkNames(rules, json)
  if (!isJsonObject(json['content'])) throw malformed('content')
  const { depth, origin_server_ts: originServerTs } = json
  if (!Number.isInteger(originServerTs)) throw malformed('origin_server_ts')
  if (!Number.isInteger(depth) || (depth as number) < 0 || (depth as number) > MAX_DEPTH_V1) {
    throw malformed('depth')
  }
  checkReferences(rules, json['prev_events'], {
    name: 'prev_events',
    max: anyReferences ? Infinity : MAX_PREV_EVENTS,
  })
  checkReferences(rules, json['auth_events'], {
    name: 'auth_events',
    max: anyReferences ? Infinity : MAX_AUTH_EVENTS,
  })
  if (!isJsonObject(json['hashes']) || typeof json['hashes']['sha256'] !== 'string') throw malformed('hashes')
  const { signatures } = json
  if (!isJsonObject(signatures) || !Object.values(signatures).every(isObjectOfStrings)) {
    throw malformed('signatures')
  }
}

function checkNames(rules: RoomVersionRules, json: JsonObject): void {
  const { type, sender, state_key: stateKey, event_id: eventId } = json
  if (!isText(type)) throw malformed('type')
  if (stateKey !== undefined && !isText(stateKey)) throw malformed('state_key')
  if (typeof sender !== 'string' || parseUserId(sender) === undefined) throw malformed('sender')
  if (!isRoomIdOf(rules, json)) throw malformed('room_id')
  if (rules.eventIdFormat !== 'v1') return
  if (typeof eventId !== 'string' || parseEventId(eventId) === undefined || !eventId.includes(':')) {
    throw malformed('event_id')
  }
}

/** Where room IDs are hashes, the create event has none, and no other ID is one. */
function isRoomIdOf(rules: RoomVersionRules, { type, room_id: roomId }: JsonObject): boolean {
  if (rules.roomIdIsCreateHash && type === 'm.room.create') return roomId === undefined
  if (typeof roomId !== 'string' || parseRoomId(roomId) === undefined) return false
  return roomId.includes(':') !== rules.roomIdIsCreateHash
}

function checkReferences(
  rules: RoomVersionRules,
  references: JsonValue | undefined,
  { name, max }: { name: string; max: number },
): void {
  if (!Array.isArray(references) || references.length > max) throw malformed(name)
  for (const reference of references) {
    const eventId = rules.eventIdFormat === 'v1' ? pairedId(reference) : reference
    if (typeof eventId !== 'string' || parseEventId(eventId) === undefined) throw malformed(name)
  }
}

/** The ID of an `[event ID, hashes]` pair. */
function pairedId(reference: JsonValue): JsonValue | undefined {
  return Array.isArray(reference) && reference.length === 2 && isJsonObject(reference[1])
    ? reference[0]
    : undefined
}

/** Text that databases can hold. */
function isText(value: JsonValue | undefined): value is string {
  return typeof value === 'string' && !value.includes('\u0000')
}

function isObjectOfStrings(value: JsonValue): boolean {
  return isJsonObject(value) && Object.values(value).every((member) => typeof member === 'string')
}

function malformed(field: string): Error {
  return badJson(`The event's ${field} is missing or malformed`)
}
