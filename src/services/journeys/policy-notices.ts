import { LRUCache } from 'lru-cache'
import { MatrixError } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { PolicyNoticesStore } from '../../storage/stores/policy-notices.js'
import type { JsonObject } from '../../util/json.js'
import type { PolicyConsents } from '../accounts/policy-consents.js'
import type { Requester } from '../accounts/requester.js'
import type { ServerNotices } from './server-notices.js'

export interface PolicyNoticesDependencies {
  readonly db: Database
  readonly policyNotices: PolicyNoticesStore
  readonly consents: Pick<PolicyConsents, 'hasAgreed' | 'uriFor'>
  readonly notices: Pick<ServerNotices, 'send'>
  readonly onError: (error: unknown) => void
  readonly options: {
    /** The version of the policy. */
    readonly version: string
    /** `server_notice_content`, with the link filled in. */
    readonly content: (consentUri: string) => JsonObject
    /** `send_server_notice_to_guests` */
    readonly includesGuests: boolean
  }
}

/** Users who need not be looked at again. */
const MAX_REMEMBERED = 50_000

/** Tells people who have not agreed to the policy's present version where they can: once, when they are seen. */
export class PolicyNotices {
  readonly #deps: PolicyNoticesDependencies
  readonly #settled = new LRUCache<UserId, true>({ max: MAX_REMEMBERED })
  readonly #running = new Map<UserId, Promise<void>>()

  constructor(deps: PolicyNoticesDependencies) {
    this.#deps = deps
  }

  /** Somebody is following what happens, and may have to be told. Returns at once and never fails. */
  onSeen({ userId, isGuest, appserviceId }: Requester): void {
    if (appserviceId !== undefined || (isGuest && !this.#deps.options.includesGuests)) return
    if (this.#settled.has(userId) || this.#running.has(userId)) return
    const running = this.#tell(userId)
      .then(() => {
        this.#settled.set(userId, true)
      })
      .catch((error: unknown) => {
        // Whom the server does not talk to, it does not talk to the next time either.
        if (error instanceof MatrixError) this.#settled.set(userId, true)
        this.#deps.onError(error)
      })
      .finally(() => this.#running.delete(userId))
    this.#running.set(userId, running)
  }

  /** Resolves when nobody is being told any more. */
  async settle(): Promise<void> {
    await Promise.all(this.#running.values())
  }

  async #tell(userId: UserId): Promise<void> {
    const { db, policyNotices, consents, notices, options } = this.#deps
    if (await consents.hasAgreed(userId)) return
    if ((await policyNotices.get(db.reader, userId)) === options.version) return
    const content = options.content(consents.uriFor(userId))
    await notices.send(userId, { type: 'm.room.message', content })
    await db.write('note_policy_notice', (tx) => policyNotices.put(tx, userId, options.version))
  }
}
