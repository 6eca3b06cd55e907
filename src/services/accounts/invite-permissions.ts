import { MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import { INVITE_PERMISSION_TYPES, InvitePermission } from '../../protocol/invite-permission.js'
import type { Database } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import { BatchedLookup } from '../../util/batched-lookup.js'

/** Users who are looked up together. */
const MAX_BATCH = 500

/** Whose invitations the users of this server take, as their account data say. */
export class InvitePermissions {
  readonly #db: Database
  readonly #accountData: AccountDataStore
  readonly #stored: BatchedLookup<UserId, InvitePermission>
  readonly #noticesFrom: UserId | undefined

  /** `noticesFrom`: who speaks for the server, if anybody does. Nobody refuses their invitations. */
  constructor(db: Database, accountData: AccountDataStore, noticesFrom?: UserId) {
    this.#db = db
    this.#accountData = accountData
    this.#noticesFrom = noticesFrom
    this.#stored = new BatchedLookup((userIds) => this.#load(userIds), { maxItems: MAX_BATCH })
  }

  async of(userId: UserId): Promise<InvitePermission> {
    return (await this.#stored.get(userId)) ?? new InvitePermission(new Map())
  }

  /** Throws `M_INVITE_BLOCKED` where one of these users of this server refuses the inviter's invitations. */
  async check(inviter: UserId, invited: readonly UserId[]): Promise<void> {
    const permissions = await this.#load(invited)
    const blocking = [...permissions].filter(([, permission]) => permission.judge(inviter) === 'block')
    if (blocking.length === 0) return
    const names = blocking.map(([userId]) => userId).join(', ')
    throw new MatrixError('M_INVITE_BLOCKED', `${names} does not take invitations`)
  }

  /** Of those who have said something. */
  async #load(userIds: readonly UserId[]): Promise<Map<UserId, InvitePermission>> {
    const contents = await this.#accountData.getGlobalOfUsers(
      this.#db.reader,
      userIds,
      INVITE_PERMISSION_TYPES,
    )
    return new Map(
      [...contents].map(([userId, configs]) => [userId, new InvitePermission(configs, this.#noticesFrom)]),
    )
  }
}
