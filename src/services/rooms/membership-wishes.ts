import { invalidParam, MatrixError } from '../../protocol/errors.js'
import { parseUserId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Membership } from '../../storage/stores/room-members.js'
import type { JsonObject } from '../../util/json.js'

/** How somebody wants to enter a room. */
export interface JoinWish {
  /** What the membership shall say besides: `reason`, and keys of the client's own. */
  readonly content?: JsonObject
  /** The proof of an invitation by third-party ID. */
  readonly thirdPartySigned?: JsonObject | undefined
  /** Servers that are said to be in the room. */
  readonly via?: readonly string[]
  /** False for joins that the server itself decides on. */
  readonly isLimited?: boolean
}

/** A room that an ID or an alias names, and servers that are in it as far as they are known. */
export interface NamedRoom {
  readonly roomId: RoomId
  readonly servers: readonly string[]
}

/** The part of a membership that says why. */
export function reasonContent(reason: string | undefined): JsonObject {
  return reason === undefined ? {} : { reason }
}

/** Somebody's membership does not allow what is wanted of it. */
export function badState(message: string): MatrixError {
  return new MatrixError('M_BAD_STATE', message, { status: 403 })
}

/** Throws `M_INVALID_PARAM`. */
export function parseTarget(text: string): UserId {
  const userId = parseUserId(text)
  if (userId === undefined) throw invalidParam('user_id is not a valid user ID')
  return userId
}

const MEMBERSHIPS: ReadonlySet<unknown> = new Set<Membership>(['join', 'invite', 'knock', 'leave', 'ban'])

/** Throws `M_INVALID_PARAM`. */
export function parseMembership(value: unknown): Membership {
  if (!MEMBERSHIPS.has(value)) throw invalidParam('Invalid membership')
  return value as Membership
}
