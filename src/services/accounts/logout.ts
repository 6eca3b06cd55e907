import type { Database } from '../../storage/database.js'
import type { Devices } from '../devices/devices.js'
import type { AccessTokens } from './access-tokens.js'
import type { Requester } from './requester.js'

export interface LogoutDependencies {
  readonly db: Database
  readonly devices: Devices
  readonly tokens: Pick<AccessTokens, 'revoke' | 'revokeForUser'>
}

/** Ends sessions. https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3logout */
export class Logout {
  readonly #deps: LogoutDependencies

  constructor(deps: LogoutDependencies) {
    this.#deps = deps
  }

  /** Ends this session; the device goes with it. */
  async logout(requester: Requester): Promise<void> {
    await this.#deps.db.write('logout', async (tx) => {
      await this.#deps.tokens.revoke(tx, requester)
      if (requester.deviceId !== undefined) {
        await this.#deps.devices.deleteIn(tx, requester.userId, [requester.deviceId])
      }
    })
  }

  /** Ends all sessions of the user, and all their devices. */
  async logoutAll(requester: Requester): Promise<void> {
    await this.#deps.db.write('logout_all', async (tx) => {
      await this.#deps.devices.deleteAllIn(tx, requester.userId)
      await this.#deps.tokens.revokeForUser(tx, requester.userId)
    })
  }
}
