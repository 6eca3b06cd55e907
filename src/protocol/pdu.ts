import { isJsonObject, type JsonObject } from '../util/json.js'
import { canonicalJson } from './canonical-json.js'
import { MatrixError } from './errors.js'
import { Event } from './event.js'
import { buildEvent, type EventSigner, type NewEvent } from './event-builder.js'
import { parseExactJson } from './exact-json.js'
import { signedText } from './hashes.js'
import { parseEventId, type EventId, type RoomId, type UserId } from './ids.js'
import type { RoomVersionRules } from './room-versions.js'
import { withSignature } from './signed-json.js'

/** An event as servers exchange it: without what this server keeps under `unsigned`. */
export function pduJson(event: Event): JsonObject {
  const { unsigned: _unsigned, ...pdu } = event.json
  return pdu as JsonObject
}

/** The same as JSON text, with numbers as they were hashed. */
export function pduText(event: Event): string {
  return event.exactText ?? JSON.stringify(pduJson(event))
}

/** The event with one more signature. */
export function signEvent(event: Event, signer: EventSigner): Event {
  const signatures = withSignature(event.json.signatures, signer, signer.sign(signedText(event)))
  const { eventId, roomId, exactText } = event
  const exact = exactText === undefined ? undefined : (parseExactJson(exactText) as JsonObject)
  return new Event(
    event.rules,
    { ...event.json, signatures },
    {
      eventId,
      roomId,
      exactText: exact && canonicalJson({ ...exact, signatures }),
    },
  )
}

/** The event with something that only this server says of it, kept with the event and given to nobody as part of it. */
export function annotateEvent(event: Event, unsigned: JsonObject): Event {
  const { eventId, roomId, exactText } = event
  return new Event(event.rules, { ...event.json, unsigned }, { eventId, roomId, exactText })
}

/**
 * What a server offers to be signed: an event without hashes, signatures and ID.
 * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_joinroomiduserid
 */
export function toTemplate(event: Event): JsonObject {
  const { hashes: _hashes, signatures: _signatures, event_id: _eventId, ...template } = pduJson(event)
  return { ...template, room_id: event.roomId }
}

/** What a membership of one of our users shall be, whatever a template says. */
export interface TemplateUse {
  readonly roomId: RoomId
  readonly userId: UserId
  readonly membership: string
  /** Besides what the template's content says. */
  readonly content: JsonObject
  readonly originServerTs: number
}

/**
 * Makes a membership of what another server offers: its place in the graph, and who authorises a join. Throws 502
 * `M_CONNECTION_FAILED` for templates that make no sense, or are for something else.
 * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_joinroomiduserid
 */
export function buildFromTemplate(
  rules: RoomVersionRules,
  template: unknown,
  { use, signer }: { use: TemplateUse; signer: EventSigner },
): Event {
  if (!isJsonObject(template)) throw badTemplate('event')
  checkTemplate(template, use)
  const { content, depth } = template
  if (!Number.isSafeInteger(depth) || (depth as number) < 0) throw badTemplate('depth')
  const authorising = isJsonObject(content) ? content['join_authorised_via_users_server'] : undefined
  return buildEvent(
    rules,
    {
      roomId: use.roomId,
      type: 'm.room.member',
      sender: use.userId,
      stateKey: use.userId,
      content: {
        ...use.content,
        ...(use.membership === 'join' &&
          typeof authorising === 'string' && { join_authorised_via_users_server: authorising }),
        membership: use.membership,
      },
      prevEvents: readReferences(rules, template['prev_events'], 'prev_events'),
      authEvents: readReferences(rules, template['auth_events'], 'auth_events'),
      depth: depth as number,
      originServerTs: use.originServerTs,
    },
    signer,
  )
}

/** A server that offers something else than it was asked for is not one to go on with. */
function checkTemplate(template: JsonObject, { roomId, userId, membership }: TemplateUse): void {
  const expected = { type: 'm.room.member', room_id: roomId, sender: userId, state_key: userId }
  for (const [field, value] of Object.entries(expected)) {
    if (template[field] !== value) throw badTemplate(field)
  }
  const { content } = template
  if (!isJsonObject(content) || content['membership'] !== membership) throw badTemplate('membership')
}

const MAX_REFERENCES = 20

function readReferences(rules: RoomVersionRules, value: unknown, field: string): NewEvent['prevEvents'] {
  if (!Array.isArray(value) || value.length > MAX_REFERENCES) throw badTemplate(field)
  return value.map((reference: unknown) => {
    if (rules.eventIdFormat !== 'v1') return { eventId: readId(reference, field) }
    const [id, hashes] = Array.isArray(reference) ? (reference as unknown[]) : []
    if (!isJsonObject(hashes)) throw badTemplate(field)
    // Synapse leaves the hash out for some, and nobody looks at them.
    const sha256 = typeof hashes['sha256'] === 'string' ? hashes['sha256'] : null
    return { eventId: readId(id, field), sha256 }
  })
}

function readId(value: unknown, field: string): EventId {
  const eventId = typeof value === 'string' ? parseEventId(value) : undefined
  if (eventId === undefined) throw badTemplate(field)
  return eventId
}

function badTemplate(field: string): Error {
  return new MatrixError('M_CONNECTION_FAILED', `The template's ${field} is missing or malformed`)
}
