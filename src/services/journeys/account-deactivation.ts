import { notFound } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { ClientIpsStore } from '../../storage/stores/client-ips.js'
import type { FiltersStore } from '../../storage/stores/filters.js'
import type { LoginTokensStore } from '../../storage/stores/login-tokens.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { PushRulesStore } from '../../storage/stores/push-rules.js'
import type { SessionsStore } from '../../storage/stores/sessions.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { AccessTokens } from '../accounts/access-tokens.js'
import type { Devices } from '../devices/devices.js'

/** Takes a user out of all rooms, and turns down their invitations. May be repeated after an interruption. */
export interface RoomLeaver {
  leaveAllRooms(userId: UserId): Promise<void>
}

/** Deletes what belongs to users who go for good, beside what this journey knows. */
export interface UserCleanup {
  deleteForUser(tx: Tx, userId: UserId): Promise<void>
}

export interface DeactivationDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly profiles: ProfilesStore
  readonly accountData: AccountDataStore
  readonly filters: FiltersStore
  readonly pushRules: PushRulesStore
  readonly threepids: ThreepidsStore
  readonly loginTokens: LoginTokensStore
  readonly sessions: SessionsStore
  readonly clientIps: ClientIpsStore
  readonly devices: Devices
  readonly tokens: Pick<AccessTokens, 'revokeForUser'>
  readonly rooms: RoomLeaver
  readonly cleanups: readonly UserCleanup[]
  /** Called when somebody's messages are to be hidden. */
  readonly onErased?: (() => void) | undefined
  /** Called when leaving rooms has failed; it is tried again when the server next starts. */
  readonly onError: (error: unknown) => void
}

/** Ends accounts. https://spec.matrix.org/latest/client-server-api/#account-deactivation */
export class AccountDeactivation {
  readonly #deps: DeactivationDependencies
  readonly #leaving = new Set<Promise<void>>()

  constructor(deps: DeactivationDependencies) {
    this.#deps = deps
  }

  /**
   * Ends the account at once and for good: password, sessions, devices, account data, third-party identifiers. The user
   * leaves their rooms afterwards, in the background. `erase`: the profile goes too, and their messages are hidden from
   * people who join later. Deactivating again only adds the erasure. Throws `M_NOT_FOUND` for unknown users.
   */
  async deactivate(userId: UserId, options: { erase: boolean }): Promise<void> {
    const { db, users, profiles } = this.#deps
    const isNew = await db.write('deactivate_user', async (tx) => {
      if (!(await users.exists(tx, userId))) throw notFound('No such user')
      if (options.erase) {
        await users.setFlag(tx, userId, 'isErased', true)
        await profiles.delete(tx, userId)
        tx.afterCommit(() => this.#deps.onErased?.())
      }
      if (!(await users.deactivate(tx, userId))) return false
      await users.insertPendingDeactivation(tx, userId)
      await this.#deps.devices.deleteAllIn(tx, userId)
      await this.#deps.tokens.revokeForUser(tx, userId)
      await this.#deps.loginTokens.deleteForUser(tx, userId)
      await this.#deps.sessions.deleteForUser(tx, userId)
      await this.#deps.accountData.deleteForUser(tx, userId)
      await this.#deps.filters.deleteForUser(tx, userId)
      await this.#deps.pushRules.deleteForUser(tx, userId)
      await this.#deps.threepids.deleteForUser(tx, userId)
      await this.#deps.clientIps.deleteForUser(tx, userId)
      for (const cleanup of this.#deps.cleanups) await cleanup.deleteForUser(tx, userId)
      return true
    })
    if (isNew) this.#leaveInBackground(userId)
  }

  /** Takes up what a stop of the server has interrupted. */
  async resume(): Promise<void> {
    const pending = await this.#deps.users.listPendingDeactivations(this.#deps.db.reader)
    for (const userId of pending) await this.#leaveRooms(userId)
  }

  /** Resolves when nobody is leaving rooms any more. */
  async settle(): Promise<void> {
    await Promise.all(this.#leaving)
  }

  #leaveInBackground(userId: UserId): void {
    const leaving = this.#leaveRooms(userId).finally(() => this.#leaving.delete(leaving))
    this.#leaving.add(leaving)
  }

  async #leaveRooms(userId: UserId): Promise<void> {
    try {
      await this.#deps.rooms.leaveAllRooms(userId)
      await this.#deps.db.write('finish_deactivation', (tx) =>
        this.#deps.users.deletePendingDeactivation(tx, userId),
      )
    } catch (error) {
      this.#deps.onError(error)
    }
  }
}
