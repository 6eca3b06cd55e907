import { isJsonObject, type JsonObject } from '../util/json.js'
import { thirdPartyToken } from './auth-events.js'
import { ALLOWED, refuse, type AuthVerdict } from './auth-verdict.js'
import type { Event } from './event.js'
import { serverNameOf } from './ids.js'
import { parsePowerLevels, roomCreators, userPowerLevel, type PowerLevels } from './power-levels.js'
import type { RoomVersionRules } from './room-versions.js'
import { hasValidSignature } from './third-party-signature.js'
import type { AuthState } from './state-map.js'

/** What the rules for memberships look at, read once. */
interface Case {
  readonly rules: RoomVersionRules
  readonly event: Event
  readonly state: AuthState
  readonly create: Event
  readonly levels: PowerLevels
  readonly target: string
  readonly senderMembership: string
  readonly targetMembership: string
  readonly joinRule: string
}

/**
 * Rule 5 (4 in room versions 6 to 11): may somebody's membership become this? Comments number the rules as room version
 * 12 does.
 * https://spec.matrix.org/latest/rooms/v12/#authorisation-rules
 */
export function checkMembership(
  rules: RoomVersionRules,
  event: Event,
  { state, create }: { state: AuthState; create: Event },
): AuthVerdict {
  // 5.1: it says whose membership it is, and what it becomes.
  const { membership } = event.content
  if (event.stateKey === undefined) return refuse('5.1', 'A membership has a state key')
  if (membership === undefined) return refuse('5.1', 'There is no membership')
  // 5.2 (since version 8): who authorises a join has their server sign it. That signatures are valid is checked before.
  const authorising = event.content['join_authorised_via_users_server']
  if (rules.restricted && authorising !== undefined && !isSignedFor(event, authorising)) {
    return refuse('5.2.1', "The authorising user's server has not signed")
  }
  const membershipCase: Case = {
    rules,
    event,
    state,
    create,
    levels: parsePowerLevels(rules, state.get('m.room.power_levels', '')),
    target: event.stateKey,
    senderMembership: membershipIn(state, event.sender),
    targetMembership: membershipIn(state, event.stateKey),
    joinRule: joinRuleIn(state),
  }
  switch (membership) {
    case 'join':
      return checkJoin(membershipCase)
    case 'invite':
      return checkInvite(membershipCase)
    case 'leave':
      return checkLeave(membershipCase)
    case 'ban':
      return checkBan(membershipCase)
    case 'knock':
      // Unknown before version 7.
      if (rules.knock) return checkKnock(membershipCase)
  }
  // 5.8: the membership is unknown.
  return refuse('5.8', 'The membership is not known')
}

function isSignedFor(event: Event, userId: unknown): boolean {
  if (typeof userId !== 'string') return false
  const { signatures } = event.json as { signatures?: unknown }
  const server = serverNameOf(userId)
  return isJsonObject(signatures) && Object.hasOwn(signatures, server) && isJsonObject(signatures[server])
}

function checkJoin(membershipCase: Case): AuthVerdict {
  const { rules, event, create, target, targetMembership, joinRule } = membershipCase
  // 5.3.1: the creator's join is the first thing after the create event.
  const isFirst = event.prevEventIds.length === 1 && event.prevEventIds[0] === create.eventId
  if (isFirst && roomCreators(rules, create)[0] === target) return ALLOWED
  // 5.3.2: one joins for oneself.
  if (event.sender !== target) return refuse('5.3.2', 'Nobody can join for somebody else')
  // 5.3.3: who is banned cannot join.
  if (targetMembership === 'ban') return refuse('5.3.3', 'The user is banned')
  const isIn = targetMembership === 'invite' || targetMembership === 'join'
  // 5.3.4: invite and, since version 7, knock: for those who are invited or in.
  if (joinRule === 'invite' || (joinRule === 'knock' && rules.knock)) {
    return isIn ? ALLOWED : refuse('5.3.4', 'The user is not invited')
  }
  // 5.3.5: restricted and knock_restricted
  if (isRestricted(rules, joinRule)) {
    return checkRestrictedJoin(membershipCase, isIn)
  }
  // 5.3.6: public
  if (joinRule === 'public') return ALLOWED
  // 5.3.7: any other rule lets nobody in.
  return refuse('5.3.7', 'The join rule lets nobody in')
}

/** `restricted` is known since version 8, `knock_restricted` since version 10. */
function isRestricted(rules: RoomVersionRules, joinRule: string): boolean {
  return (
    (joinRule === 'restricted' && rules.restricted) ||
    (joinRule === 'knock_restricted' && rules.knockRestricted)
  )
}

function checkRestrictedJoin({ rules, event, state, create, levels }: Case, isIn: boolean): AuthVerdict {
  // 5.3.5.1: invited or in
  if (isIn) return ALLOWED
  // 5.3.5.2: authorised by a member who may invite
  const authorising = event.content['join_authorised_via_users_server']
  if (typeof authorising !== 'string') return refuse('5.3.5.2', 'Nobody has authorised the join')
  if (membershipIn(state, authorising) !== 'join')
    return refuse('5.3.5.2', 'The authorising user is not in the room')
  if (userPowerLevel(rules, levels, create, authorising) < levels.invite) {
    return refuse('5.3.5.2', 'The authorising user may not invite')
  }
  // 5.3.5.3
  return ALLOWED
}

function checkInvite(membershipCase: Case): AuthVerdict {
  const { event, levels, senderMembership, targetMembership } = membershipCase
  // 5.4.1: invited by a third-party ID
  if (event.content['third_party_invite'] !== undefined) return checkThirdPartyInvite(membershipCase)
  // 5.4.2: members invite.
  if (senderMembership !== 'join') return refuse('5.4.2', 'The sender is not in the room')
  // 5.4.3: who is in the room or banned cannot be invited.
  if (targetMembership === 'join') return refuse('5.4.3', 'The user is in the room already')
  if (targetMembership === 'ban') return refuse('5.4.3', 'The user is banned')
  // 5.4.4 and 5.4.5: it takes the invite level.
  return levelOf(membershipCase, event.sender) >= levels.invite
    ? ALLOWED
    : refuse('5.4.5', 'The sender may not invite')
}

function checkThirdPartyInvite({ event, state, target, targetMembership }: Case): AuthVerdict {
  // 5.4.1.1: who is banned cannot be invited.
  if (targetMembership === 'ban') return refuse('5.4.1.1', 'The user is banned')
  // 5.4.1.2 and 5.4.1.3: there is something signed, of a user and a token.
  const invite = event.content['third_party_invite']
  const signed = isJsonObject(invite) ? invite['signed'] : undefined
  if (!isJsonObject(signed)) return refuse('5.4.1.2', 'The third-party invite is not signed')
  const token = thirdPartyToken(event.content)
  if (signed['mxid'] === undefined || token === undefined) {
    return refuse('5.4.1.3', 'The third-party invite has no mxid or no token')
  }
  // 5.4.1.4: it is for this user.
  if (signed['mxid'] !== target) return refuse('5.4.1.4', 'The third-party invite is for somebody else')
  // 5.4.1.5: the room knows the token.
  const thirdParty = state.get('m.room.third_party_invite', token)
  if (!thirdParty) return refuse('5.4.1.5', 'There is no third-party invite with this token')
  // 5.4.1.6: who invited the third-party ID sends the invitation.
  if (thirdParty.sender !== event.sender)
    return refuse('5.4.1.6', 'Somebody else sent the third-party invite')
  // 5.4.1.7 and 5.4.1.8: one of the keys of the third-party invite has signed.
  return hasValidSignature(signed, publicKeysOf(thirdParty.content))
    ? ALLOWED
    : refuse('5.4.1.8', 'No valid signature of the third-party invite')
}

/** Keys as text, from `public_key` and `public_keys`. */
function publicKeysOf(content: JsonObject): string[] {
  const listed = content['public_keys']
  const inList = Array.isArray(listed)
    ? listed.map((entry) => (isJsonObject(entry) ? entry['public_key'] : entry))
    : []
  return [content['public_key'], ...inList].filter((key): key is string => typeof key === 'string')
}

function checkLeave(membershipCase: Case): AuthVerdict {
  const { rules, event, levels, target, senderMembership, targetMembership } = membershipCase
  // 5.5.1: one leaves from a room, declines an invitation or, since version 7, takes a knock back.
  if (event.sender === target) {
    const mayLeave = ['invite', 'join', ...(rules.knock ? ['knock'] : [])].includes(targetMembership)
    return mayLeave ? ALLOWED : refuse('5.5.1', 'The user is not in the room')
  }
  // 5.5.2: members kick.
  if (senderMembership !== 'join') return refuse('5.5.2', 'The sender is not in the room')
  const senderLevel = levelOf(membershipCase, event.sender)
  // 5.5.3: lifting a ban takes the ban level.
  if (targetMembership === 'ban' && senderLevel < levels.ban)
    return refuse('5.5.3', 'The sender may not lift a ban')
  // 5.5.4 and 5.5.5: it takes the kick level, and more power than the other has.
  if (senderLevel < levels.kick) return refuse('5.5.5', 'The sender may not kick')
  return levelOf(membershipCase, target) < senderLevel
    ? ALLOWED
    : refuse('5.5.5', 'The user has as much power as the sender')
}

function checkBan(membershipCase: Case): AuthVerdict {
  const { event, levels, target, senderMembership } = membershipCase
  // 5.6.1: members ban.
  if (senderMembership !== 'join') return refuse('5.6.1', 'The sender is not in the room')
  const senderLevel = levelOf(membershipCase, event.sender)
  // 5.6.2 and 5.6.3: it takes the ban level, and more power than the other has.
  if (senderLevel < levels.ban) return refuse('5.6.3', 'The sender may not ban')
  return levelOf(membershipCase, target) < senderLevel
    ? ALLOWED
    : refuse('5.6.3', 'The user has as much power as the sender')
}

function checkKnock({ rules, event, target, senderMembership, joinRule }: Case): AuthVerdict {
  // 5.7.1: the room takes knocks.
  if (joinRule !== 'knock' && !(joinRule === 'knock_restricted' && rules.knockRestricted)) {
    return refuse('5.7.1', 'The join rule allows no knocks')
  }
  // 5.7.2: one knocks for oneself.
  if (event.sender !== target) return refuse('5.7.2', 'Nobody can knock for somebody else')
  // 5.7.3 and 5.7.4: who is banned, invited or in does not knock.
  return ['ban', 'invite', 'join'].includes(senderMembership)
    ? refuse('5.7.4', `The user's membership is ${senderMembership}`)
    : ALLOWED
}

function levelOf({ rules, levels, create }: Case, userId: string): number {
  return userPowerLevel(rules, levels, create, userId)
}

/** Somebody's membership in a state; who is not in it has left. */
function membershipIn(state: AuthState, userId: string): string {
  const membership = state.get('m.room.member', userId)?.content['membership']
  return typeof membership === 'string' ? membership : 'leave'
}

function joinRuleIn(state: AuthState): string {
  const event = state.get('m.room.join_rules', '')
  const rule = event ? event.content['join_rule'] : 'invite'
  return typeof rule === 'string' ? rule : 'invite'
}
