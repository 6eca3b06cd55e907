import { hash } from 'node:crypto'
import { decodeBase64, stripPadding } from '../util/base64.js'
import { isJsonObject, type JsonObject } from '../util/json.js'
import { canonicalJson } from './canonical-json.js'
import type { Event, PduJson } from './event.js'
import { parseExactJson } from './exact-json.js'
import type { EventId, RoomId } from './ids.js'
import { redactPdu } from './redaction.js'
import type { RoomVersionRules } from './room-versions.js'
import { signableText } from './signed-json.js'

/** The text that an event's content hash is of: all but hashes, signatures and what is unsigned. */
export function hashedText(json: Readonly<PduJson>): string {
  const { hashes: _hashes, signatures: _signatures, unsigned: _unsigned, ...hashed } = json
  return canonicalJson(hashed as JsonObject)
}

/**
 * SHA-256 over the whole event, in unpadded Base64: what `hashes.sha256` should be.
 * https://spec.matrix.org/latest/server-server-api/#calculating-the-content-hash-for-an-event
 */
export function contentHash(json: Readonly<PduJson>): string {
  return sha256(hashedText(json))
}

/**
 * Whether the event is whole: `hashes.sha256` is its content hash. An event of which it is not must be taken for its
 * redacted form.
 */
export function hasValidContentHash(event: Event): boolean {
  const json = exactJson(event)
  const { hashes } = json as { hashes: unknown }
  const claimed = isJsonObject(hashes) ? hashes['sha256'] : undefined
  if (typeof claimed !== 'string') return false
  const expected = contentHash(json)
  if (claimed === expected) return true
  return decodeBase64(claimed)?.equals(Buffer.from(expected, 'base64')) ?? false
}

/** The text of which the signatures of an event are. */
export function signedText(event: Event): string {
  return essentialText(event.rules, exactJson(event))
}

/** What redaction leaves of an event, without signatures: servers sign it, and the reference hash is of it. */
export function essentialText(rules: RoomVersionRules, json: Readonly<PduJson>): string {
  return signableText(redactPdu(rules, json) as JsonObject)
}

/**
 * SHA-256 over what redaction leaves of the event, in unpadded Base64: what later events of room versions 1 and 2 say
 * of it next to its ID.
 * https://spec.matrix.org/latest/server-server-api/#calculating-the-reference-hash-for-an-event
 */
export function referenceHash(event: Event): string {
  return sha256(signedText(event))
}

/**
 * The ID of an event in its room version: in the event itself in versions 1 and 2 (undefined where there is none), else
 * its reference hash.
 */
export function eventIdOf(rules: RoomVersionRules, json: Readonly<PduJson>): EventId | undefined {
  if (rules.eventIdFormat === 'v1') return json.event_id as EventId | undefined
  return hashEventId(rules, essentialText(rules, json))
}

/** The event ID that an essential text hashes to, in versions that make IDs of hashes. */
export function hashEventId(rules: RoomVersionRules, essential: string): EventId {
  const encoding = rules.eventIdFormat === 'v3' ? 'base64' : 'base64url'
  return `$${stripPadding(hash('sha256', essential, encoding))}` as EventId
}

/** The ID of the room that a create event of version 12 creates. https://spec.matrix.org/latest/rooms/v12/ */
export function roomIdOfCreate(eventId: EventId): RoomId {
  return `!${eventId.slice(1)}` as RoomId
}

/** With the numbers that the event was hashed with. */
function exactJson(event: Event): Readonly<PduJson> {
  if (event.exactText === undefined) return event.json
  return parseExactJson(event.exactText) as JsonObject & PduJson
}

/** Of the UTF-8 of a text, in unpadded Base64. */
export function sha256(text: string): string {
  return stripPadding(hash('sha256', text, 'base64'))
}
