import { isInterestedInUser } from '../../protocol/appservice-registration.js'
import { forbidden } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { InvitePermissions } from '../accounts/invite-permissions.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import type { AppserviceRegistry } from '../appservices/appservice-registry.js'
import type { InvitePolicy } from '../federation/invite-receiver.js'
import type { RoomBlocks } from './room-blocks.js'

export interface IncomingInvitesDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly permissions: Pick<InvitePermissions, 'check'>
  readonly registry: Pick<AppserviceRegistry, 'list'>
  readonly rateLimits: Pick<RateLimits, 'consume'>
  /** Rooms that nobody may enter; without it, there are none. */
  readonly blocks?: Pick<RoomBlocks, 'check'> | undefined
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayBeInvited'> | undefined
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
   * Throws 403 `M_FORBIDDEN` for users who are not there, for blocked rooms, and where nobody may invite;
   * `M_INVITE_BLOCKED` for users who do not take the sender's; what a service that says what is spam answers; 429
   * `M_LIMIT_EXCEEDED`.
   */
  async check(event: Event, userId: UserId): Promise<void> {
    const { sender, roomId } = event
    const { db, users, permissions, rateLimits, onlyAdminsInvite } = this.#deps
    if (onlyAdminsInvite) throw forbidden('This server does not accept invitations')
    await this.#deps.blocks?.check(roomId)
    const user = await users.get(db.reader, userId)
    if (user ? user.isDeactivated : !this.#isOfAppservice(userId)) {
      throw forbidden(`${userId} is not a user of this server`)
    }
    await permissions.check(sender, [userId])
    await this.#deps.spam?.mayBeInvited(event)
    rateLimits.consume('invitesPerRoom', roomId)
    rateLimits.consume('invitesPerUser', userId)
  }

  /** Application services make their users when they are invited. */
  #isOfAppservice(userId: UserId): boolean {
    return this.#deps.registry.list().some((registration) => isInterestedInUser(registration, userId))
  }
}
