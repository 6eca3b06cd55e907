import { isJsonObject, type JsonObject } from '../util/json.js'
import { fitsBytes, MAX_ID_BYTES } from './ids.js'
import type { RoomVersionRules } from './room-versions.js'

/** The parts of an event by which the events that authorize it are chosen. */
export interface AuthEventsInput {
  readonly type: string
  readonly sender: string
  readonly stateKey?: string | undefined
  readonly content: JsonObject
}

type StateEventKey = [type: string, stateKey: string]

/**
 * Which pieces of the state before an event go into its `auth_events`, each pair once. Not all of them need exist.
 * https://spec.matrix.org/latest/server-server-api/#auth-events-selection
 */
export function authEventKeys(rules: RoomVersionRules, input: AuthEventsInput): StateEventKey[] {
  if (input.type === 'm.room.create') return []
  // From version 12 on, the room ID stands for the create event.
  const create: StateEventKey[] = rules.roomIdIsCreateHash ? [] : [['m.room.create', '']]
  const keys: StateEventKey[] = [...create, ['m.room.power_levels', ''], ['m.room.member', input.sender]]
  if (input.type === 'm.room.member') keys.push(...membershipKeys(rules, input))
  const distinct = new Map(keys.map((key) => [`${key[0]}\u0000${key[1]}`, key]))
  return [...distinct.values()].filter(([, stateKey]) => canBeStateKey(stateKey))
}

/** All state that the authorization rules read for an event: `authEventKeys` and, in every version, the create event. */
export function authStateKeys(rules: RoomVersionRules, input: AuthEventsInput): StateEventKey[] {
  const keys = authEventKeys(rules, input)
  if (!rules.roomIdIsCreateHash || input.type === 'm.room.create') return keys
  return [['m.room.create', ''], ...keys]
}

function membershipKeys(rules: RoomVersionRules, { stateKey, content }: AuthEventsInput): StateEventKey[] {
  const keys: StateEventKey[] = []
  const { membership } = content
  if (stateKey !== undefined) keys.push(['m.room.member', stateKey])
  if (membership === 'join' || membership === 'invite' || membership === 'knock') {
    keys.push(['m.room.join_rules', ''])
  }
  if (membership === 'invite') {
    const token = thirdPartyToken(content)
    if (token !== undefined) keys.push(['m.room.third_party_invite', token])
  }
  const authorising = content['join_authorised_via_users_server']
  if (membership === 'join' && rules.restricted && typeof authorising === 'string') {
    keys.push(['m.room.member', authorising])
  }
  return keys
}

/** `content.third_party_invite.signed.token` of an invitation. */
export function thirdPartyToken(content: JsonObject): string | undefined {
  const invite = content['third_party_invite']
  if (!isJsonObject(invite) || !isJsonObject(invite['signed'])) return undefined
  const { token } = invite['signed']
  return typeof token === 'string' ? token : undefined
}

/** No event has another state key: what content names need not be looked for then. */
function canBeStateKey(text: string): boolean {
  return fitsBytes(text, MAX_ID_BYTES) && text.isWellFormed() && !text.includes('\u0000')
}
