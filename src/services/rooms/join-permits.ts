import { forbidden } from '../../protocol/errors.js'
import type { ServerName, UserId } from '../../protocol/ids.js'
import type { Membership } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { GuestAccess } from './guest-access.js'
import type { RestrictedJoins } from './restricted-joins.js'
import type { ThirdPartyInvites } from './third-party-invites.js'

export interface JoinPermitsDependencies {
  readonly guestAccess: GuestAccess
  readonly restrictedJoins: RestrictedJoins
  readonly thirdPartyInvites: ThirdPartyInvites
}

/** How somebody may come into a room, as far as the room's own rules do not say. */
export interface JoinPermit {
  /** In whose name, where the room is restricted. */
  readonly authorising?: UserId
  /** Through which of these servers, where nobody of this one may let people in. */
  readonly servers?: readonly ServerName[]
}

const FREE: JoinPermit = {}

/** Who may join rooms that this server is in, before the room's rules are asked. */
export class JoinPermits {
  readonly #deps: JoinPermitsDependencies

  constructor(deps: JoinPermitsDependencies) {
    this.#deps = deps
  }

  /**
   * Has the requester invited first where they bring a proof that they are meant by an invitation of a third-party ID.
   * Throws `M_FORBIDDEN` for guests where there may be none, and for those who are in none of the rooms that a restricted
   * room names.
   */
  async require(
    { isGuest, userId }: Requester,
    room: RoomRecord,
    { membership, proof }: { membership: Membership | undefined; proof: JsonObject | undefined },
  ): Promise<JoinPermit> {
    const { guestAccess, thirdPartyInvites } = this.#deps
    if (isGuest && !(await guestAccess.mayJoin(room.roomId))) throw forbidden('Guest access not allowed')
    if (membership === 'join' || membership === 'invite') return FREE
    if (proof === undefined) return this.#judge(room, userId)
    await thirdPartyInvites.exchange(room.roomId, userId, proof)
    return FREE
  }

  async #judge(room: RoomRecord, userId: UserId): Promise<JoinPermit> {
    const { restrictedJoins } = this.#deps
    const judgement = await restrictedJoins.judge(room, userId)
    switch (judgement.kind) {
      case 'unrestricted':
        return FREE
      case 'authorised':
        return { authorising: judgement.by }
      case 'powerless': {
        const servers = await restrictedJoins.listAuthorisingServers(room)
        if (servers.length > 0) return { servers }
        throw forbidden('Nobody of this server may let you into the room.')
      }
      // A room that a user of ours is in is one that this server is in: what is not known is not so.
      case 'unknown':
      case 'refused':
        throw forbidden('You do not belong to any of the required rooms/spaces to join this room.')
    }
  }
}
