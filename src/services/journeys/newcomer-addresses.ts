import { MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Tx } from '../../storage/database.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonValue } from '../../util/json.js'

/** Sends notifications to an address. */
export interface MailSubscriber {
  subscribeByMail(tx: Tx, userId: UserId, address: string): Promise<void>
}

export interface NewcomerAddressesDependencies {
  readonly clock: Pick<Clock, 'now'>
  readonly threepids: Pick<ThreepidsStore, 'insert' | 'insertMany' | 'listForUser'>
  /** Who tells people of events by mail; without it, nobody is told. */
  readonly mailSubscriber?: MailSubscriber | undefined
}

/** The e-mail addresses that accounts begin with. */
export class NewcomerAddresses {
  readonly #deps: NewcomerAddressesDependencies

  constructor(deps: NewcomerAddressesDependencies) {
    this.#deps = deps
  }

  /** What the stage of an address has established; anything else adds nothing. Throws `M_THREEPID_IN_USE`. */
  async addProven(tx: Tx, userId: UserId, proof: JsonValue | undefined): Promise<void> {
    if (!isJsonObject(proof)) return
    const { address, validatedTs } = proof
    if (typeof address !== 'string' || typeof validatedTs !== 'number') return
    const { clock, threepids, mailSubscriber } = this.#deps
    const threepid = { medium: 'email', address, validatedTs, addedTs: clock.now() }
    if (!(await threepids.insert(tx, userId, threepid)))
      throw new MatrixError('M_THREEPID_IN_USE', 'The e-mail address is in use already')
    await mailSubscriber?.subscribeByMail(tx, userId, address)
  }

  /** Addresses that another service vouches for, but for those of others. Mail goes to the first. */
  async addGiven(tx: Tx, userId: UserId, emails: readonly string[]): Promise<void> {
    if (emails.length === 0) return
    const { clock, threepids, mailSubscriber } = this.#deps
    const now = clock.now()
    const records = emails.map((address) => ({ medium: 'email', address, validatedTs: now, addedTs: now }))
    await threepids.insertMany(tx, userId, records)
    const [first] = await threepids.listForUser(tx, userId)
    if (first !== undefined) await mailSubscriber?.subscribeByMail(tx, userId, first.address)
  }
}
