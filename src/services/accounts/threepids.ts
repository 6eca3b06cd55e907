import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { ThreepidRecord, ThreepidsStore } from '../../storage/stores/threepids.js'

export interface ThreepidsDependencies {
  readonly db: Database
  readonly threepids: ThreepidsStore
  /** `enable_3pid_changes`. */
  readonly mayChange: boolean
  /** Deletes what hangs on an identifier that goes: notifications sent to it. */
  readonly cleanup?: ThreepidCleanup
}

export interface ThreepidCleanup {
  deleteForThreepid(tx: Tx, userId: UserId, threepid: { medium: string; address: string }): Promise<void>
}

/**
 * The e-mail addresses and telephone numbers of users. None can be proven to this server, so that users cannot add any;
 * those that administrators have entered are shown and can be removed.
 * https://spec.matrix.org/latest/client-server-api/#adding-account-administrative-contact-information
 */
export class Threepids {
  readonly #deps: ThreepidsDependencies

  constructor(deps: ThreepidsDependencies) {
    this.#deps = deps
  }

  async list(userId: UserId): Promise<ThreepidRecord[]> {
    return this.#deps.threepids.listForUser(this.#deps.db.reader, userId)
  }

  /** Removes an identifier; does nothing for those that are not the user's. Throws `M_FORBIDDEN`. */
  async delete(userId: UserId, identifier: { medium: string; address: string }): Promise<void> {
    const { db, threepids, mayChange } = this.#deps
    if (!mayChange) throw forbidden('Third-party identifiers cannot be changed at this server')
    const { medium } = identifier
    const address = medium === 'email' ? identifier.address.toLowerCase() : identifier.address
    await db.write('delete_threepid', async (tx) => {
      const isDeleted = await threepids.delete(tx, userId, { medium, address })
      if (isDeleted) await this.#deps.cleanup?.deleteForThreepid(tx, userId, { medium, address })
    })
  }

  /** Why an identifier cannot be added: nobody has proven here that it is theirs. */
  unproven(status: 400 | 403): MatrixError {
    return new MatrixError('M_THREEPID_AUTH_FAILED', 'No validated third-party identifier was found', {
      status,
    })
  }
}
