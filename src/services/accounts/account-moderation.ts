import { forbidden, invalidParam, notFound } from '../../protocol/errors.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { AccessTokens } from './access-tokens.js'
import type { Requester } from './requester.js'

/** What administrators can put on an account and take from it again. */
export type Restriction = 'isLocked' | 'isSuspended'

export interface AccountModerationDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly tokens: Pick<AccessTokens, 'forgetUser'>
  readonly serverName: ServerName
}

/**
 * Locks and suspends accounts. For administrators: whoever calls has checked that the requester is one.
 * https://spec.matrix.org/latest/client-server-api/#account-locking
 * https://spec.matrix.org/latest/client-server-api/#account-suspension
 */
export class AccountModeration {
  readonly #deps: AccountModerationDependencies

  constructor(deps: AccountModerationDependencies) {
    this.#deps = deps
  }

  /** Throws `M_INVALID_PARAM` for users of other servers, `M_NOT_FOUND`, `M_FORBIDDEN` for other administrators. */
  async get(requester: Requester, userId: UserId, restriction: Restriction): Promise<boolean> {
    const user = await this.#requireTarget(this.#deps.db.reader, requester, userId)
    return user[restriction]
  }

  /**
   * In force with the next request of the account. Throws as `get`, and `M_FORBIDDEN` for administrators who would lock
   * themselves out.
   */
  async set(
    requester: Requester,
    userId: UserId,
    { restriction, value }: { readonly restriction: Restriction; readonly value: boolean },
  ): Promise<void> {
    const { db, users, tokens } = this.#deps
    if (userId === requester.userId) throw forbidden('You cannot restrict your own account')
    await db.write('restrict_account', async (tx) => {
      await this.#requireTarget(tx, requester, userId)
      await users.setFlag(tx, userId, restriction, value)
      tokens.forgetUser(tx, userId)
    })
  }

  async #requireTarget(q: Query, requester: Requester, userId: UserId): Promise<UserRecord> {
    const { users, serverName } = this.#deps
    if (serverNameOf(userId) !== serverName) throw invalidParam('User does not belong to the local server.')
    const user = await users.get(q, userId)
    if (user === undefined || user.isDeactivated) throw notFound('User not found.')
    if (user.isAdmin && userId !== requester.userId)
      throw forbidden('Other administrators cannot be restricted')
    return user
  }
}
