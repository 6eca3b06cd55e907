import type { Event } from './event.js'
import { serverNameOf, type ServerName, type UserId } from './ids.js'
import { isJsonObject } from '../util/json.js'

/**
 * The servers whose signatures an event needs.
 * https://spec.matrix.org/latest/server-server-api/#validating-hashes-and-signatures-on-received-events
 */
export function signersOf(event: Event): ServerName[] {
  const signers = new Set<ServerName>()
  // An invitation that a third-party invite has become may have been sent for its sender by another server.
  if (!isThirdPartyInvite(event)) signers.add(serverNameOf(event.sender))
  if (event.rules.eventIdFormat === 'v1') signers.add(serverNameOf(event.eventId))
  const authoriser = authorisingUserOf(event)
  if (authoriser !== undefined) signers.add(serverNameOf(authoriser))
  return [...signers]
}

function isThirdPartyInvite({ type, content }: Event): boolean {
  return (
    type === 'm.room.member' &&
    content['membership'] === 'invite' &&
    isJsonObject(content['third_party_invite'])
  )
}

/** The user whose server lets somebody into a restricted room. */
function authorisingUserOf({ type, content, rules }: Event): UserId | undefined {
  if (!rules.restricted || type !== 'm.room.member' || content['membership'] !== 'join') return undefined
  const user = content['join_authorised_via_users_server']
  return typeof user === 'string' ? (user as UserId) : undefined
}
