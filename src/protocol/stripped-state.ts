import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import type { Event } from './event.js'
import { parseUserId } from './ids.js'
import { getRoomVersionRules } from './room-versions.js'

/**
 * The state that tells an outsider what a room is, all with the empty state key. Invites and knocks carry it.
 * https://spec.matrix.org/latest/client-server-api/#stripped-state
 */
export const STRIPPED_STATE_TYPES = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
] as const

/**
 * A state event as outsiders see it: `sender`, `type`, `state_key` and `content` only. But the create event of a room
 * that is named by its hash has its `origin_server_ts` too: clients know from it that it came as a whole event.
 */
export interface StrippedStateJson extends JsonObject {
  content: JsonObject
  sender: string
  state_key: string
  type: string
}

/** The stripped form of a state event. Throws a TypeError for other events. */
export function stripStateEvent(event: Event): StrippedStateJson {
  const { content, sender, stateKey, type } = event
  if (stateKey === undefined) throw new TypeError(`${event.eventId} is not a state event`)
  const stripped = { content, sender, state_key: stateKey, type }
  if (type !== 'm.room.create' || !event.rules.roomIdIsCreateHash) return stripped
  return { ...stripped, origin_server_ts: event.originServerTs }
}

/**
 * Stripped state that another server sent, pruned to what clients may be given: what it sends is signed by nobody, or
 * whole events since version 1.16 of the specification. What is malformed is left out.
 */
export function pruneStrippedState(received: JsonValue | undefined): StrippedStateJson[] {
  if (!Array.isArray(received)) return []
  return received.flatMap((item) => {
    if (!isJsonObject(item)) return []
    const { content, sender, state_key: stateKey, type } = item
    if (!isJsonObject(content) || typeof type !== 'string' || typeof stateKey !== 'string') return []
    if (typeof sender !== 'string' || parseUserId(sender) === undefined) return []
    const stripped = { content, sender, state_key: stateKey, type }
    const { origin_server_ts: sentTs } = item
    return [
      isHashedCreate(stripped) && isTimestamp(sentTs) ? { ...stripped, origin_server_ts: sentTs } : stripped,
    ]
  })
}

function isHashedCreate({ type, content }: StrippedStateJson): boolean {
  const version = content['room_version']
  if (type !== 'm.room.create' || typeof version !== 'string') return false
  return getRoomVersionRules(version)?.roomIdIsCreateHash === true
}

function isTimestamp(value: JsonValue | undefined): value is number {
  return Number.isSafeInteger(value)
}
