import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { LoginTokensStore } from '../../storage/stores/login-tokens.js'
import type { SessionsStore } from '../../storage/stores/sessions.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Devices } from '../devices/devices.js'
import type { AccessTokens } from './access-tokens.js'
import type { Passwords } from './passwords.js'
import type { Requester } from './requester.js'

export interface PasswordChangesDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly loginTokens: LoginTokensStore
  readonly sessions: Pick<SessionsStore, 'deleteForUser'>
  readonly threepids: Pick<ThreepidsStore, 'findOwner'>
  readonly devices: Devices
  readonly tokens: Pick<AccessTokens, 'revokeForUser'>
  readonly passwords: Passwords
  /** Users of this server may have passwords that it checks itself. */
  readonly enabled: boolean
}

/** Gives users another password. */
export class PasswordChanges {
  readonly #deps: PasswordChangesDependencies

  constructor(deps: PasswordChangesDependencies) {
    this.#deps = deps
  }

  /** Whether users can change their password. */
  get isEnabled(): boolean {
    return this.#deps.enabled
  }

  /** Throws `M_FORBIDDEN` where passwords cannot be changed, `M_WEAK_PASSWORD`, `M_INVALID_PARAM`. */
  checkNew(password: string): void {
    if (!this.#deps.enabled) throw forbidden('Passwords cannot be changed on this server')
    this.#deps.passwords.checkNew(password)
  }

  /** Gives another password to whoever has proven that an e-mail address is theirs. Throws `M_THREEPID_NOT_FOUND`. */
  async reset(address: string, password: string, options: { logoutDevices: boolean }): Promise<void> {
    const { db, threepids } = this.#deps
    const userId = await threepids.findOwner(db.reader, 'email', address)
    if (userId === undefined)
      throw new MatrixError('M_THREEPID_NOT_FOUND', 'No account has this e-mail address')
    await this.change(userId, password, options)
  }

  /**
   * `logoutDevices`: all devices and tokens of the user end, but for the session of `except`.
   * https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3accountpassword
   */
  async change(
    userId: UserId,
    password: string,
    options: { logoutDevices: boolean; except?: Requester | undefined },
  ): Promise<void> {
    this.checkNew(password)
    const passwordHash = await this.#deps.passwords.hash(password)
    await this.#deps.db.write('change_password', async (tx) => {
      const user = await this.#deps.users.get(tx, userId)
      if (user === undefined || user.isDeactivated) throw forbidden('This account has no password')
      await this.#deps.users.setPasswordHash(tx, userId, passwordHash)
      await this.#deps.loginTokens.deleteForUser(tx, userId)
      await this.#deps.sessions.deleteForUser(tx, userId)
      if (!options.logoutDevices) return
      await this.#deps.devices.deleteAllIn(tx, userId, options.except?.deviceId)
      await this.#deps.tokens.revokeForUser(tx, userId, options.except)
    })
  }
}
