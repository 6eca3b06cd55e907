import { forbidden } from '../../protocol/errors.js'
import type { Database } from '../../storage/database.js'
import type { RegistrationTokensStore } from '../../storage/stores/registration-tokens.js'
import type { Clock } from '../../util/clock.js'

export interface RegistrationTokensDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly registrationTokens: RegistrationTokensStore
  /** Whether people may register with them. */
  readonly enabled: boolean
}

/** Tokens that let people register. https://spec.matrix.org/latest/client-server-api/#token-authenticated-registration */
export class RegistrationTokens {
  readonly #deps: RegistrationTokensDependencies

  constructor(deps: RegistrationTokensDependencies) {
    this.#deps = deps
  }

  /** Whether the token could be used now; false for unknown ones. Throws `M_FORBIDDEN` where nobody may register. */
  async isValid(token: string): Promise<boolean> {
    if (!this.#deps.enabled) throw forbidden('Registration is not enabled on this homeserver.')
    const record = await this.#deps.registrationTokens.get(this.#deps.db.reader, token)
    if (record === undefined) return false
    const isExpired = record.expiryTs !== undefined && record.expiryTs <= this.#deps.clock.now()
    const isUsedUp =
      record.usesAllowed !== undefined && record.pending + record.completed >= record.usesAllowed
    return !isExpired && !isUsedUp
  }
}
