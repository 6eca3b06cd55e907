import { forbidden } from '../../protocol/errors.js'
import { serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { ProfileRecord, ProfilesStore } from '../../storage/stores/profiles.js'
import type { JsonObject } from '../../util/json.js'
import type { InvitePermissions } from '../accounts/invite-permissions.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { Requester } from '../accounts/requester.js'
import type { SpamChecks } from '../accounts/spam-checks.js'

export interface InvitationOptions {
  readonly serverName: ServerName
  /** `block_non_admin_invites`. */
  readonly onlyAdminsInvite: boolean
  /** `include_profile_data_on_invite`. */
  readonly includeProfile: boolean
  /** Who speaks for the server, and may always invite. */
  readonly noticesFrom?: UserId | undefined
}

export interface InvitationsDependencies {
  readonly db: Database
  readonly permissions: Pick<InvitePermissions, 'check'>
  readonly profiles: ProfilesStore
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayInvite'> | undefined
  readonly rateLimits: Pick<RateLimits, 'consumeFor'>
  /** Whether there are other servers; otherwise their users cannot be invited. */
  readonly reachesOthers: boolean
  readonly options: InvitationOptions
}

/** What the server itself has to say of invitations, beyond the room's rules. */
export class Invitations {
  readonly #deps: InvitationsDependencies

  constructor(deps: InvitationsDependencies) {
    this.#deps = deps
  }

  /**
   * Throws `M_FORBIDDEN` where the server does not let the requester invite, or reach other servers;
   * `M_INVITE_BLOCKED` where somebody of this server does not take theirs; what a service that says what is spam
   * answers. What users of other servers take is their servers' business. Whether anybody has the name is not asked,
   * nor does Synapse: the specification has no error for that, people can be invited who come later, and nobody finds
   * out by inviting which accounts there are.
   * https://spec.matrix.org/latest/client-server-api/#invite-permission
   */
  async check(requester: Requester, invited: readonly UserId[], roomId?: RoomId): Promise<void> {
    if (invited.length === 0) return
    const { permissions, options } = this.#deps
    this.checkMayInvite(requester)
    const remote = invited.find((userId) => serverNameOf(userId) !== options.serverName)
    if (remote !== undefined && !this.#deps.reachesOthers) {
      throw forbidden(`The server of ${remote} cannot be reached`)
    }
    await permissions.check(requester.userId, this.#ours(invited))
    if (!requester.isAdmin) await this.#deps.spam?.mayInvite(requester.userId, invited, roomId)
  }

  /** Throws `M_FORBIDDEN` where the server does not let the requester invite anybody. */
  checkMayInvite(requester: Requester): void {
    const { onlyAdminsInvite, noticesFrom } = this.#deps.options
    if (onlyAdminsInvite && !requester.isAdmin && requester.userId !== noticesFrom) {
      throw forbidden('Invites have been disabled on this server')
    }
  }

  /** Counts invitations against the limits of the room, the inviter and each of the invited. */
  async consumeRateLimits(
    requester: Requester,
    invited: readonly UserId[],
    roomId: RoomId | undefined,
  ): Promise<void> {
    if (invited.length === 0) return
    const { rateLimits } = this.#deps
    const cost = invited.length
    if (roomId !== undefined) {
      await rateLimits.consumeFor(requester, 'invitesPerRoom', { key: roomId, cost })
    }
    await rateLimits.consumeFor(requester, 'invitesPerIssuer', { cost })
    for (const userId of invited) await rateLimits.consumeFor(requester, 'invitesPerUser', { key: userId })
  }

  /** What invitations say of the invited, by user. */
  async contents(invited: readonly UserId[], extra: JsonObject = {}): Promise<Map<UserId, JsonObject>> {
    const { db, profiles, options } = this.#deps
    const known = options.includeProfile
      ? await profiles.getMany(db.reader, this.#ours(invited))
      : new Map<UserId, ProfileRecord>()
    return new Map(
      invited.map((userId) => {
        const profile = known.get(userId)
        return [
          userId,
          {
            ...(profile?.displayName !== undefined && { displayname: profile.displayName }),
            ...(profile?.avatarUrl !== undefined && { avatar_url: profile.avatarUrl }),
            ...extra,
            membership: 'invite',
          },
        ]
      }),
    )
  }

  #ours(userIds: readonly UserId[]): UserId[] {
    return userIds.filter((userId) => serverNameOf(userId) === this.#deps.options.serverName)
  }
}
