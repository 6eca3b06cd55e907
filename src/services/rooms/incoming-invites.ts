import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { InvitePolicy } from '../federation/invite-receiver.js'

export interface IncomingInvitesDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly accountData: AccountDataStore
  readonly rateLimits: Pick<RateLimits, 'consume'>
  /** `block_non_admin_invites`: nobody of another server is an administrator of this one. */
  readonly onlyAdminsInvite: boolean
}

/** What this server and its users have to say of invitations by others. */
export class IncomingInvites implements InvitePolicy {
  readonly #deps: IncomingInvitesDependencies

  constructor(deps: IncomingInvitesDependencies) {
    this.#deps = deps
  }

  /**
   * Throws 403 `M_FORBIDDEN` for users who are not there, and where nobody may invite; `M_INVITE_BLOCKED` for users who
   * take no invitations; 429 `M_LIMIT_EXCEEDED`.
   */
  async check({ userId, roomId }: { userId: UserId; sender: UserId; roomId: RoomId }): Promise<void> {
    const { db, users, accountData, rateLimits, onlyAdminsInvite } = this.#deps
    if (onlyAdminsInvite) throw forbidden('This server does not accept invitations')
    const user = await users.get(db.reader, userId)
    if (!user || user.isDeactivated) throw forbidden(`${userId} is not a user of this server`)
    if ((await accountData.filterBlockingInvites(db.reader, [userId])).size > 0) {
      throw new MatrixError('M_INVITE_BLOCKED', `${userId} does not take invitations`)
    }
    rateLimits.consume('invitesPerRoom', roomId)
    rateLimits.consume('invitesPerUser', userId)
  }
}
