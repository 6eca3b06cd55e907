import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { ThreepidRecord, ThreepidsStore } from '../../storage/stores/threepids.js'
import type { Clock } from '../../util/clock.js'
import type { EmailValidations, ThreepidCredentials } from './email-validations.js'
import type { Requester } from './requester.js'
import { checkNotSuspended } from './suspension.js'

export interface ThreepidsDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly threepids: ThreepidsStore
  readonly validations: Pick<EmailValidations, 'consume'>
  /** `enable_3pid_changes`. */
  readonly mayChange: boolean
  /** Deletes what hangs on an identifier that goes: notifications sent to it. */
  readonly cleanup?: ThreepidCleanup
}

export interface ThreepidCleanup {
  deleteForThreepid(tx: Tx, userId: UserId, threepid: { medium: string; address: string }): Promise<void>
}

/**
 * The e-mail addresses and telephone numbers of users: addresses that they have proven to be theirs, and what
 * administrators have entered.
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

  /**
   * Removes an identifier; does nothing for those that are not the requester's. Throws `M_FORBIDDEN`, `M_USER_SUSPENDED`:
   * who is suspended must stay known.
   */
  async delete(
    requester: Pick<Requester, 'userId' | 'isSuspended'>,
    identifier: { medium: string; address: string },
  ): Promise<void> {
    const { db, threepids, mayChange } = this.#deps
    const { userId } = requester
    if (!mayChange) throw changesForbidden()
    checkNotSuspended(requester)
    const { medium } = identifier
    const address = medium === 'email' ? identifier.address.toLowerCase() : identifier.address
    await db.write('delete_threepid', async (tx) => {
      const isDeleted = await threepids.delete(tx, userId, { medium, address })
      if (isDeleted) await this.#deps.cleanup?.deleteForThreepid(tx, userId, { medium, address })
    })
  }

  /**
   * Adds the identifier that has been proven in a session, which ends with that. Throws `M_THREEPID_AUTH_FAILED` where
   * nothing has been proven, `M_THREEPID_IN_USE`, `M_FORBIDDEN`.
   */
  async add(
    userId: UserId,
    credentials: ThreepidCredentials,
    { unprovenStatus }: { unprovenStatus: 400 | 403 },
  ): Promise<void> {
    const { db, clock, threepids, validations, mayChange } = this.#deps
    if (!mayChange) throw changesForbidden()
    await db.write('add_threepid', async (tx) => {
      const proof = await validations.consume(tx, credentials, ['add'])
      if (proof === undefined) {
        throw new MatrixError('M_THREEPID_AUTH_FAILED', 'No validated third-party identifier was found', {
          status: unprovenStatus,
        })
      }
      const { medium, address, validatedTs } = proof
      const added = await threepids.insert(tx, userId, { medium, address, validatedTs, addedTs: clock.now() })
      if (added || (await threepids.findOwner(tx, medium, address)) === userId) return
      throw new MatrixError('M_THREEPID_IN_USE', 'The third-party identifier is in use already')
    })
  }
}

function changesForbidden(): MatrixError {
  return forbidden('Third-party identifiers cannot be changed at this server')
}
