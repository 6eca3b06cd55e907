import { hash } from 'node:crypto'
import type { JsonObject, JsonValue } from '../util/json.js'
import { canonicalJson, isStrictJson, sortKeys } from './canonical-json.js'
import { MAX_DEPTH } from './constants.js'
import { badJson } from './errors.js'
import { Event, type PduJson } from './event.js'
import { checkEventSize } from './event-format.js'
import { essentialText, hashedText, hashEventId, roomIdOfCreate, sha256 } from './hashes.js'
import type { EventId, RoomId, ServerName, UserId } from './ids.js'
import type { RoomVersionRules } from './room-versions.js'
import type { JsonSigner } from './signed-json.js'
import { STICKY_FIELD } from './sticky-events.js'

/** Signs events in the name of this server. */
export type EventSigner = JsonSigner

/** How an event names another. */
export interface EventReference {
  readonly eventId: EventId
  /** The other's reference hash: needed in room versions 1 and 2, and there only. Null where nobody has told it. */
  readonly sha256?: string | null
}

/** All that its sender decides about an event. */
export interface NewEvent {
  /** Undefined for the create event of rooms whose ID is its hash. */
  readonly roomId?: RoomId
  readonly type: string
  readonly sender: UserId
  readonly stateKey?: string
  /** A redaction's target is `redacts` in here whatever the room version. */
  readonly content: JsonObject
  readonly prevEvents: readonly EventReference[]
  readonly authEvents: readonly EventReference[]
  /** At most 2^53 − 1. */
  readonly depth: number
  /** Milliseconds since the epoch. */
  readonly originServerTs: number
  /** The sender's server, for those who want to be told; no event needs it. */
  readonly origin?: ServerName | undefined
  /** For how long it is told to everybody in the room; undefined: it is not. In milliseconds. */
  readonly stickyMs?: number | undefined
}

/**
 * Makes, hashes, signs and names an event. Throws 400 `M_BAD_JSON` for content that the room version cannot carry, 413
 * `M_TOO_LARGE` beyond the limits of size.
 * https://spec.matrix.org/latest/server-server-api/#adding-hashes-and-signatures-to-outgoing-events
 */
export function buildEvent(rules: RoomVersionRules, draft: NewEvent, signer: EventSigner): Event {
  // No database column holds NUL, and types and state keys have columns.
  if (`${draft.type}${draft.stateKey ?? ''}`.includes('\u0000')) {
    throw badJson('The type or state key of an event has a NUL character')
  }
  const json = unsignedJson(rules, draft)
  if (rules.strictCanonicalJson && !isStrictJson(json as JsonObject)) {
    throw badJson('The event has a number that is not an integer within ±(2^53 − 1)')
  }
  if (rules.eventIdFormat === 'v1') json.event_id = localEventId(json, signer)
  const hashed = hashedText(json)
  json.hashes = { sha256: sha256(hashed) }
  const essential = essentialText(rules, json)
  json.signatures = { [signer.serverName]: { [signer.keyId]: signer.sign(essential) } }
  const eventId = json.event_id === undefined ? hashEventId(rules, essential) : (json.event_id as EventId)
  const event = new Event(rules, json, { eventId, roomId: draft.roomId ?? roomIdOfCreate(eventId) })
  // What the hash leaves out is one object that the other is joined to with a comma for two braces.
  const rest = JSON.stringify({ hashes: json.hashes, signatures: json.signatures })
  checkEventSize(event, { bytes: Buffer.byteLength(hashed) + Buffer.byteLength(rest) - 1, isOwn: true })
  return event
}

/** All but hashes and signatures, with its keys in canonical order, so that what follows need not sort them. */
function unsignedJson(rules: RoomVersionRules, draft: NewEvent): PduJson {
  const { content, redacts } = placeRedacts(rules, draft)
  const { roomId, stateKey, stickyMs } = draft
  return {
    auth_events: references(rules, draft.authEvents),
    content: sortKeys(content),
    depth: Math.min(draft.depth, MAX_DEPTH),
    ...(rules.eventIdFormat === 'v1' && { event_id: '' }),
    hashes: { sha256: '' },
    ...(stickyMs !== undefined && { [STICKY_FIELD]: { duration_ms: stickyMs } }),
    ...(draft.origin !== undefined && { origin: draft.origin }),
    origin_server_ts: draft.originServerTs,
    prev_events: references(rules, draft.prevEvents),
    ...(redacts !== undefined && { redacts }),
    ...(roomId !== undefined && { room_id: roomId }),
    sender: draft.sender,
    signatures: {},
    ...(stateKey !== undefined && { state_key: stateKey }),
    type: draft.type,
  }
}

/** Up to room version 10, what a redaction redacts stands outside of its content. */
function placeRedacts(
  rules: RoomVersionRules,
  { type, content }: NewEvent,
): { content: JsonObject; redacts?: string } {
  const { redacts, ...others } = content
  if (type !== 'm.room.redaction' || rules.redactsInContent || typeof redacts !== 'string') return { content }
  return { content: others, redacts }
}

function references(rules: RoomVersionRules, events: readonly EventReference[]): JsonValue[] {
  if (rules.eventIdFormat !== 'v1') return events.map(({ eventId }) => eventId)
  return events.map(({ eventId, sha256 }) => {
    if (sha256 === undefined) throw new TypeError(`The reference to ${eventId} needs its hash`)
    return [eventId, sha256 === null ? {} : { sha256 }]
  })
}

/**
 * An ID for room versions in which servers choose them. A hash of the event, as in later versions, so that no two events
 * of this server have the same.
 */
function localEventId(json: PduJson, signer: EventSigner): EventId {
  return `$${hash('sha256', canonicalJson(json as JsonObject), 'base64url')}:${signer.serverName}` as EventId
}
