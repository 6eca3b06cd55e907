import { invalidParam, MatrixError, notFound } from '../../protocol/errors.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { LoginTokensStore } from '../../storage/stores/login-tokens.js'
import type { UserFlag, UserRecord, UsersStore } from '../../storage/stores/users.js'
import type { AccessTokens } from '../accounts/access-tokens.js'
import type { IdentityBindings, UnbindResult } from '../accounts/identity-bindings.js'
import type { Passwords } from '../accounts/passwords.js'
import type { Requester } from '../accounts/requester.js'
import type { TokenIssuer } from '../accounts/token-issuer.js'
import type { Devices } from '../devices/devices.js'
import type { AccountDeactivation } from '../journeys/account-deactivation.js'

/** What administrators may say of an account. */
export type AccountFlag = Extract<UserFlag, 'isAdmin' | 'isLocked' | 'isSuspended' | 'isShadowBanned'>

export interface AccountAdministrationDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly loginTokens: LoginTokensStore
  readonly devices: Devices
  readonly tokens: Pick<AccessTokens, 'forgetUser' | 'revokeForUser'>
  readonly tokenIssuer: Pick<TokenIssuer, 'issuePuppetToken'>
  readonly passwords: Passwords
  readonly deactivation: Pick<AccountDeactivation, 'deactivate' | 'resume' | 'settle'>
  /** What identity servers know of users who go. */
  readonly identityBindings: Pick<IdentityBindings, 'unbindAll'>
  readonly serverName: ServerName
}

/**
 * Changes accounts on the word of an administrator, at whom nothing is checked here. All throw `M_INVALID_PARAM` for
 * users of other servers, and `M_NOT_FOUND` for users that are not there or, where that matters, not there any more.
 */
export class AccountAdministration {
  readonly #deps: AccountAdministrationDependencies

  constructor(deps: AccountAdministrationDependencies) {
    this.#deps = deps
  }

  /**
   * Gives an account a password, whatever it had. `logoutDevices`: all its sessions end. Throws `M_WEAK_PASSWORD` for
   * what the server's rules forbid.
   */
  async setPassword(userId: UserId, password: string, options: { logoutDevices: boolean }): Promise<void> {
    const { db, users, passwords, loginTokens } = this.#deps
    passwords.checkNew(password)
    this.#checkLocal(userId)
    const passwordHash = await passwords.hash(password)
    await db.write('administrate_password', async (tx) => {
      await this.#requireActive(tx, userId)
      await users.setPasswordHash(tx, userId, passwordHash)
      await loginTokens.deleteForUser(tx, userId)
      if (options.logoutDevices) await this.#endSessions(tx, userId)
    })
  }

  /**
   * A token without a device with which the administrator acts as the user, until a time (ms) if there is one. Throws
   * 400 `M_UNKNOWN` for oneself.
   */
  async loginAs(
    requester: Pick<Requester, 'userId'>,
    userId: UserId,
    validUntilTs: number | undefined,
  ): Promise<string> {
    this.#checkLocal(userId)
    if (requester.userId === userId) {
      throw new MatrixError('M_UNKNOWN', 'Cannot use admin API to login as self', { status: 400 })
    }
    return this.#deps.db.write('login_as_user', async (tx) => {
      await this.#requireActive(tx, userId)
      const request = { userId, puppetedBy: requester.userId, validUntilTs }
      return this.#deps.tokenIssuer.issuePuppetToken(tx, request)
    })
  }

  /** In force with the next request of the account. Gives whether anything has changed. */
  async setFlag(userId: UserId, flag: AccountFlag, value: boolean): Promise<boolean> {
    const { db, users, tokens } = this.#deps
    this.#checkLocal(userId)
    return db.write('administrate_account', async (tx) => {
      const user = await this.#requireActive(tx, userId)
      if (user[flag] === value) return false
      await users.setFlag(tx, userId, flag, value)
      tokens.forgetUser(tx, userId)
      return true
    })
  }

  /**
   * Ends an account for good; see `AccountDeactivation`. Resolves when the user has left all rooms. Doing it again takes
   * up what was interrupted, and `erase` what was not asked for before. Gives whether identity servers have forgotten the
   * user's identifiers. Throws `M_UNKNOWN` where a room could not be left: the account has ended, and the rooms are left at
   * the next start.
   */
  async deactivate(userId: UserId, options: { erase: boolean }): Promise<UnbindResult> {
    const { db, users, deactivation, identityBindings } = this.#deps
    this.#checkLocal(userId)
    const isPending = async (): Promise<boolean> =>
      (await users.listPendingDeactivations(db.reader)).includes(userId)
    await deactivation.deactivate(userId, options)
    const unbound = await identityBindings.unbindAll(userId, undefined)
    await deactivation.settle()
    if (await isPending()) await deactivation.resume()
    if (await isPending()) {
      throw new MatrixError('M_UNKNOWN', `${userId} is deactivated, but could not leave all rooms yet`)
    }
    return unbound
  }

  /**
   * Ends the session of one device, or all sessions of an account, those without a device too. Gives the devices that are
   * gone. Throws `M_NOT_FOUND` for a device that is not the user's.
   */
  async logout(userId: UserId, deviceId: string | undefined): Promise<string[]> {
    const { db, devices, users } = this.#deps
    this.#checkLocal(userId)
    return db.write('administrate_sessions', async (tx) => {
      if (!(await users.exists(tx, userId))) throw notFound(`There is no user ${userId}`)
      if (deviceId === undefined) return this.#endSessions(tx, userId)
      if (!(await devices.exists(tx, userId, deviceId))) {
        throw notFound(`${userId} has no device ${deviceId}`)
      }
      await devices.deleteIn(tx, userId, [deviceId])
      return [deviceId]
    })
  }

  async #endSessions(tx: Tx, userId: UserId): Promise<string[]> {
    const { devices, tokens } = this.#deps
    const ended = await devices.deleteAllIn(tx, userId)
    await tokens.revokeForUser(tx, userId)
    return ended
  }

  #checkLocal(userId: UserId): void {
    if (serverNameOf(userId) !== this.#deps.serverName) {
      throw invalidParam(`${userId} is a user of another server`)
    }
  }

  async #requireActive(tx: Tx, userId: UserId): Promise<UserRecord> {
    const user = await this.#deps.users.get(tx, userId)
    if (user === undefined) throw notFound(`There is no user ${userId}`)
    if (user.isDeactivated) throw notFound(`The account ${userId} has been deactivated`)
    return user
  }
}
