import { isJsonObject, type JsonObject } from '../util/json.js'
import { canonicalJson } from './canonical-json.js'
import { Event, type PduJson } from './event.js'
import { parseExactJson } from './exact-json.js'
import type { RoomVersionRules } from './room-versions.js'

/** In the order of canonical JSON. */
const KEPT_KEYS = [
  'auth_events',
  'content',
  'depth',
  'event_id',
  'hashes',
  'origin_server_ts',
  'prev_events',
  'room_id',
  'sender',
  'signatures',
  'state_key',
  'type',
]
/** Up to room version 10. */
const KEPT_KEYS_V1 = [...KEPT_KEYS, 'membership', 'origin', 'prev_state'].sort()

const POWER_LEVEL_KEYS = [
  'ban',
  'events',
  'events_default',
  'kick',
  'redact',
  'state_default',
  'users',
  'users_default',
]
const POWER_LEVEL_KEYS_V11 = [...POWER_LEVEL_KEYS, 'invite'].sort()

/**
 * The event without what its room's rules do not need: the same ID, the same signatures. An event that has nothing to
 * lose comes out equal.
 * https://spec.matrix.org/latest/client-server-api/#redactions
 */
export function redactEvent(event: Event): Event {
  const { eventId, exactText, roomId, rules } = event
  const exact = exactText === undefined ? undefined : (parseExactJson(exactText) as JsonObject & PduJson)
  return new Event(rules, redactPdu(rules, event.json), {
    eventId,
    roomId,
    exactText: exact && canonicalJson(redactPdu(rules, exact) as JsonObject),
  })
}

/** The redaction algorithm of a room version. The result shares what it keeps with the event. */
export function redactPdu(rules: RoomVersionRules, json: Readonly<PduJson>): PduJson {
  const redacted: Record<string, unknown> = {}
  for (const key of rules.redactionV11 ? KEPT_KEYS : KEPT_KEYS_V1) {
    const value = json[key]
    if (value !== undefined) redacted[key] = key === 'content' ? redactContent(rules, json) : value
  }
  return redacted as PduJson
}

function redactContent(rules: RoomVersionRules, { type, content }: Readonly<PduJson>): JsonObject {
  switch (type) {
    case 'm.room.create':
      return rules.redactionV11 ? content : pick(content, ['creator'])
    case 'm.room.member':
      return redactMember(rules, content)
    case 'm.room.join_rules':
      return pick(content, rules.restricted ? ['allow', 'join_rule'] : ['join_rule'])
    case 'm.room.power_levels':
      return pick(content, rules.redactionV11 ? POWER_LEVEL_KEYS_V11 : POWER_LEVEL_KEYS)
    case 'm.room.history_visibility':
      return pick(content, ['history_visibility'])
    case 'm.room.aliases':
      return rules.specialCaseAliases ? pick(content, ['aliases']) : {}
    case 'm.room.redaction':
      return rules.redactionV11 ? pick(content, ['redacts']) : {}
    default:
      return {}
  }
}

function redactMember(rules: RoomVersionRules, content: JsonObject): JsonObject {
  const kept = pick(
    content,
    rules.redactionKeepsAuthorisingUser ? ['join_authorised_via_users_server', 'membership'] : ['membership'],
  )
  const invite = content['third_party_invite']
  if (rules.redactionV11 && isJsonObject(invite)) kept['third_party_invite'] = pick(invite, ['signed'])
  return kept
}

function pick(content: JsonObject, keys: readonly string[]): JsonObject {
  const picked: JsonObject = {}
  for (const key of keys) {
    const value = content[key]
    if (value !== undefined) picked[key] = value
  }
  return picked
}
