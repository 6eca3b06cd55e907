import { lookup } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { promisify } from 'node:util'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../util/clock.js'
import { upTo } from '../util/lru-bounds.js'
import { Semaphore } from '../util/semaphore.js'

export interface ResolvedAddress {
  /** An IP address in text form. */
  readonly address: string
  readonly family: 4 | 6
}

/** A record of type SRV. https://www.rfc-editor.org/rfc/rfc2782 */
export interface SrvRecord {
  /** The host name; empty where the record says that there is no such service. */
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

/** The way from names to addresses: tests put another in its place. */
export interface Dns {
  /**
   * All addresses of a host name, as the system knows them: from its hosts file too. Rejects when there are none, with
   * the `code` that the system gives.
   */
  lookup(hostname: string): Promise<readonly ResolvedAddress[]>
  /** The SRV records of a name; none where there are none. Rejects when that cannot be found out. */
  resolveSrv(name: string): Promise<readonly SrvRecord[]>
}

/** How many of the threads that files and databases need too may wait for names at once. */
const MAX_LOOKUPS = 2
/** Of SRV look-ups: sockets only. */
const MAX_QUERIES = 50
const SRV_ATTEMPT_MS = 1_000
const SRV_ATTEMPTS = 2
/** What the name servers say when there is no such record. */
const NO_RECORD: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA'])

const systemLookup = promisify(lookup)

/** The system's own. */
export function createSystemDns(): Dns {
  const resolver = new Resolver({ timeout: SRV_ATTEMPT_MS, tries: SRV_ATTEMPTS })
  const lookups = new Semaphore(MAX_LOOKUPS)
  const queries = new Semaphore(MAX_QUERIES)
  return {
    lookup: (hostname) =>
      lookups.run(async () => {
        const found = await systemLookup(hostname, { all: true })
        return found.map(({ address }) => ({ address, family: isIP(address) === 6 ? 6 : 4 }) as const)
      }),
    resolveSrv: (name) =>
      queries.run(async () => {
        try {
          return await resolver.resolveSrv(name)
        } catch (error) {
          if (NO_RECORD.has((error as NodeJS.ErrnoException).code ?? '')) return []
          throw error
        }
      }),
  }
}

/** How long answers are remembered: neither interface tells. In milliseconds. */
interface Lifetimes {
  readonly success: number
  readonly failure: number
  /** For so much longer an answer is given while a new one is on its way. */
  readonly stale: number
}

const LOOKUPS: Lifetimes = { success: 60_000, failure: 15_000, stale: 0 }
/** Where name servers do not answer, only the first is to wait for that. */
const QUERIES: Lifetimes = { success: 5 * 60_000, failure: 60_000, stale: 60 * 60_000 }
const MAX_ENTRIES = 10_000

interface Remembered<T> {
  readonly outcome: Promise<T>
  /** Infinity while it, or what takes its place, is on its way. */
  until: number
}

type Memory<T> = LRUCache<string, Remembered<T>>

/** Remembers answers for minutes, failures for less, and asks the same question once at a time. */
export class CachingDns implements Dns {
  readonly #dns: Dns
  readonly #clock: Pick<Clock, 'now'>
  readonly #lookups: Memory<readonly ResolvedAddress[]> = new LRUCache(upTo(MAX_ENTRIES))
  readonly #queries: Memory<readonly SrvRecord[]> = new LRUCache(upTo(MAX_ENTRIES))

  constructor(dns: Dns, clock: Pick<Clock, 'now'>) {
    this.#dns = dns
    this.#clock = clock
  }

  lookup(hostname: string): Promise<readonly ResolvedAddress[]> {
    return this.#recall(this.#lookups, { key: hostname, lifetimes: LOOKUPS }, () =>
      this.#dns.lookup(hostname),
    )
  }

  resolveSrv(name: string): Promise<readonly SrvRecord[]> {
    return this.#recall(this.#queries, { key: name, lifetimes: QUERIES }, () => this.#dns.resolveSrv(name))
  }

  #recall<T>(
    memory: Memory<T>,
    { key, lifetimes }: { key: string; lifetimes: Lifetimes },
    ask: () => Promise<T>,
  ): Promise<T> {
    const now = this.#clock.now()
    const known = memory.get(key)
    if (known !== undefined && known.until > now) return known.outcome
    const asked: Remembered<T> = { outcome: ask(), until: Infinity }
    const settle = (ms: number): void => {
      asked.until = this.#clock.now() + ms
      memory.set(key, asked)
    }
    asked.outcome.then(
      () => settle(lifetimes.success),
      () => settle(lifetimes.failure),
    )
    if (known === undefined || known.until + lifetimes.stale <= now) {
      memory.set(key, asked)
      return asked.outcome
    }
    // Until the new answer takes its place.
    known.until = Infinity
    return known.outcome
  }
}
