import { authEventKeys } from './auth-events.js'
import { ALLOWED, refuse, type AuthVerdict } from './auth-verdict.js'
import type { Event } from './event.js'
import { checkMembership } from './event-auth-member.js'
import { checkPowerLevels } from './event-auth-power-levels.js'
import { parseUserId, serverNameOf, type UserId } from './ids.js'
import { parsePowerLevels, requiredPowerLevel, userPowerLevel } from './power-levels.js'
import { getRoomVersionRules, type RoomVersionRules } from './room-versions.js'
import { ownerOfStateKey } from './owned-state.js'
import { stateKeyOf, type AuthState } from './state-map.js'

/**
 * Judges an event by the authorization rules of its room version and a state; its own `auth_events` are judged by
 * `checkAuthEvents`. Comments number the rules as room version 12 does.
 * https://spec.matrix.org/latest/rooms/v12/#authorisation-rules
 */
export function checkEventAuth(rules: RoomVersionRules, event: Event, state: AuthState): AuthVerdict {
  // 1: the create event
  if (event.type === 'm.room.create') return checkCreate(rules, event)
  const create = state.get('m.room.create', '')
  // 2 (before version 12 it is 2.4): there is an accepted create event, in version 12 the one that the room ID names.
  if (create?.roomId !== event.roomId) return refuse('2', 'The room has no create event')
  // 4: a room that does not federate is closed to other servers' users.
  if (create.content['m.federate'] === false && serverNameOf(event.sender) !== serverNameOf(create.sender)) {
    return refuse('4', 'This room is not open to users of other servers')
  }
  // v1:4 (up to version 5): aliases belong to the server in the state key, whether or not the sender is in the room.
  if (rules.specialCaseAliases && event.type === 'm.room.aliases') return checkAliases(event)
  // 5: memberships
  if (event.type === 'm.room.member') return checkMembership(rules, event, { state, create })
  // 6: all else is for members.
  if (membershipIn(state, event.sender) !== 'join') return refuse('6', 'The sender is not in the room')
  return checkByPower(rules, event, { state, create })
}

/** Rules 7 to 11, for senders who are in the room. */
function checkByPower(
  rules: RoomVersionRules,
  event: Event,
  { state, create }: { state: AuthState; create: Event },
): AuthVerdict {
  const levels = parsePowerLevels(rules, state.get('m.room.power_levels', ''))
  const senderLevel = userPowerLevel(rules, levels, create, event.sender)
  // 7: invitations by third-party ID take the invite level and nothing else.
  if (event.type === 'm.room.third_party_invite') {
    return senderLevel >= levels.invite ? ALLOWED : refuse('7.1', 'The sender may not invite')
  }
  // 8: the level that the event's type takes
  const required = requiredPowerLevel(levels, event.type, event.isState())
  if (required > senderLevel) {
    return refuse('8', `${event.type} takes power level ${required}, and the sender has ${senderLevel}`)
  }
  // 9: a state key that is a user ID is that user's.
  const isOwnKey = checkStateKey(
    rules,
    event,
    (owner) => senderLevel > userPowerLevel(rules, levels, create, owner),
  )
  if (!isOwnKey.allowed) return isOwnKey
  // 10: power levels
  if (event.type === 'm.room.power_levels') return checkPowerLevels(rules, event, state, senderLevel)
  // v1:11 (versions 1 and 2): redactions take the redact level, or that both events come from one server.
  if (event.type === 'm.room.redaction' && !rules.redactionsCheckedOnApply) {
    const sameServer = serverNameOf(event.redacts ?? '') === serverNameOf(event.eventId)
    return senderLevel >= levels.redact || sameServer
      ? ALLOWED
      : refuse('v1:11.3', 'The sender may not redact')
  }
  // 11: everything else is allowed.
  return ALLOWED
}

/** Rule 9. In versions with owned state a key may go on after the ID, and those above its owner may write it too. */
function checkStateKey(
  { ownedState }: RoomVersionRules,
  { stateKey, sender }: Event,
  isAbove: (owner: UserId) => boolean,
): AuthVerdict {
  if (!stateKey?.startsWith('@') || stateKey === sender) return ALLOWED
  if (!ownedState) return refuse('9', "The state key is another user's ID")
  const owner = ownerOfStateKey(stateKey)
  if (owner === undefined) return refuse('msc3757:9', 'The state key begins with no user ID')
  return owner === sender || isAbove(owner) ? ALLOWED : refuse('msc3757:9', "The state key is another user's")
}

function checkCreate(rules: RoomVersionRules, event: Event): AuthVerdict {
  const { content } = event
  // 1.1: nothing comes before it.
  if (event.prevEventIds.length > 0) return refuse('1.1', 'A create event has no previous events')
  if (rules.roomIdIsCreateHash) {
    // 1.2: its room ID is its hash and cannot be inside it.
    if (event.json.room_id !== undefined) return refuse('1.2', 'A create event has no room_id')
  } else if (serverNameOf(event.roomId) !== serverNameOf(event.sender)) {
    // v1:1.2 (up to version 11): the room ID has the sender's server name.
    return refuse('v1:1.2', "The room ID does not have the sender's server name")
  }
  // 1.3: the room version is one that is known; absent, it is 1.
  const version = content['room_version'] ?? '1'
  if (content['room_version'] === null || typeof version !== 'string' || !getRoomVersionRules(version)) {
    return refuse('1.3', 'The room version is not known')
  }
  // 1.4 (since version 12): additional creators are user IDs.
  if (rules.privilegedCreators && !areUserIds(content['additional_creators'] ?? [])) {
    return refuse('1.4', 'additional_creators is no list of user IDs')
  }
  // v1:1.4 (up to version 10): it names a creator.
  if (!rules.implicitCreator && content['creator'] === undefined) {
    return refuse('v1:1.4', 'The create event names no creator')
  }
  return ALLOWED
}

function areUserIds(value: unknown): boolean {
  return Array.isArray(value) && value.every((id) => typeof id === 'string' && parseUserId(id) !== undefined)
}

function checkAliases(event: Event): AuthVerdict {
  // v1:4.1
  if (event.stateKey === undefined) return refuse('v1:4.1', 'Aliases have a state key')
  // v1:4.2
  if (serverNameOf(event.sender) !== event.stateKey) {
    return refuse('v1:4.2', "The state key is not the sender's server name")
  }
  // v1:4.3
  return ALLOWED
}

/** An event that another lists in its `auth_events`, and whether it was rejected. */
export interface AuthEventEntry {
  readonly event: Event
  readonly rejected: boolean
}

/**
 * Rule 3 (2 before version 12): judges the `auth_events` of an event by themselves. Holds whatever the state.
 * `entries`: all that the event lists.
 */
export function checkAuthEvents(
  rules: RoomVersionRules,
  event: Event,
  entries: readonly AuthEventEntry[],
): AuthVerdict {
  if (event.type === 'm.room.create') return ALLOWED
  const selected = new Set(authEventKeys(rules, event).map(([type, stateKey]) => stateKeyOf(type, stateKey)))
  const seen = new Set<string>()
  for (const { event: entry, rejected } of entries) {
    // 3.2: nothing but what the selection asks for; events without state key are never asked for.
    if (entry.stateKey === undefined) return refuse('3.2', 'An auth event is no state event')
    const key = stateKeyOf(entry.type, entry.stateKey)
    if (!selected.has(key)) return refuse('3.2', `${entry.type} does not authorize this event`)
    // 3.1: nothing twice.
    if (seen.has(key)) return refuse('3.1', `There are two auth events of type ${entry.type}`)
    seen.add(key)
    // 3.3: nothing that was rejected.
    if (rejected) return refuse('3.3', `Auth event ${entry.eventId} was rejected`)
    // 3.5: all of this room.
    if (entry.roomId !== event.roomId) return refuse('3.5', `Auth event ${entry.eventId} is of another room`)
  }
  // v1:2.4 (up to version 11): the create event is among them.
  if (!rules.roomIdIsCreateHash && !seen.has(stateKeyOf('m.room.create', ''))) {
    return refuse('v1:2.4', 'The create event is not among the auth events')
  }
  return ALLOWED
}

function membershipIn(state: AuthState, userId: string): unknown {
  return state.get('m.room.member', userId)?.content['membership']
}
