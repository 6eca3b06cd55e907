import { limitExceeded } from '../../protocol/errors.js'
import type { ServerName } from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'

/** What waits of a server; `chars`: of its events' JSON. */
export interface InboxShare {
  readonly events: number
  readonly chars: number
}

export interface InboxLimits {
  /** Of one server. */
  readonly each: InboxShare
  /** Of all together. When they have more, each may have what it would have if all had the same. */
  readonly all: InboxShare
}

/** Who sends honestly has far less waiting, unless much of it waits for this server. */
export const INBOX_LIMITS: InboxLimits = {
  each: { events: 5_000, chars: 64 * 1024 * 1024 },
  all: { events: 50_000, chars: 512 * 1024 * 1024 },
}

interface Dependencies {
  /** What waits in truth. */
  readonly count: () => Promise<readonly (InboxShare & { readonly origin: ServerName })[]>
  readonly clock: Pick<Clock, 'now'>
  readonly limits: InboxLimits
}

/** How long a server is asked to keep what there is no place for. */
const RETRY_AFTER_MS = 30_000
/** What waits is counted anew no more often, for those who seem to have too much. */
const RECOUNT_MS = 10_000
const NOTHING: InboxShare = { events: 0, chars: 0 }

/**
 * Keeps single servers from filling the inbox: of each so much may wait, and less of each where very much does. It counts
 * along, and again in the database before it refuses anything: what was there already has been counted twice.
 */
export class InboxShares {
  readonly #deps: Dependencies
  #shares = new Map<ServerName, InboxShare>()
  #countedTs = -Infinity

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** Counts what waits. */
  async load(): Promise<void> {
    const counted = await this.#deps.count()
    this.#shares = new Map(counted.map(({ origin, events, chars }) => [origin, { events, chars }]))
    this.#countedTs = this.#deps.clock.now()
  }

  /** 429 `M_LIMIT_EXCEEDED` for a server of which enough waits already. */
  async require(origin: ServerName): Promise<void> {
    if (!this.#hasTooMuch(origin)) return
    if (this.#deps.clock.now() - this.#countedTs >= RECOUNT_MS) await this.load()
    if (this.#hasTooMuch(origin)) throw limitExceeded(RETRY_AFTER_MS)
  }

  add(origin: ServerName, chars: number): void {
    const share = this.#shares.get(origin) ?? NOTHING
    this.#shares.set(origin, { events: share.events + 1, chars: share.chars + chars })
  }

  remove(origin: ServerName, chars: number): void {
    const share = this.#shares.get(origin) ?? NOTHING
    if (share.events <= 1) this.#shares.delete(origin)
    else this.#shares.set(origin, { events: share.events - 1, chars: Math.max(0, share.chars - chars) })
  }

  #hasTooMuch(origin: ServerName): boolean {
    const { each, all } = this.#deps.limits
    const share = this.#shares.get(origin)
    if (share === undefined) return false
    return this.#exceeds(share, 'events', each, all) || this.#exceeds(share, 'chars', each, all)
  }

  #exceeds(share: InboxShare, what: keyof InboxShare, each: InboxShare, all: InboxShare): boolean {
    if (share[what] >= each[what]) return true
    let total = 0
    for (const other of this.#shares.values()) total += other[what]
    return total >= all[what] && share[what] >= all[what] / this.#shares.size
  }
}
