import { LRUCache } from 'lru-cache'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { ClientIpsStore, ClientSighting } from '../../storage/stores/client-ips.js'
import type { Clock, Timer } from '../../util/clock.js'
import { upTo } from '../../util/lru-bounds.js'

/** Sightings are written together, this long after the first of them. */
const FLUSH_INTERVAL_MS = 5000
/** The same device at the same address is noted again after this. */
const GRANULARITY_MS = 2 * 60 * 1000
const MAX_USER_AGENT_LENGTH = 256
/** So that a flood of made-up user agents costs rows, not memory. */
const MAX_BUFFERED = 5000

export interface ClientSightingsDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly clientIps: ClientIpsStore
  /** Called when a write has failed; the sightings are lost, which does no harm. */
  readonly onError: (error: unknown) => void
}

/** Notes from where devices are used; no request waits for it. */
export class ClientSightings {
  readonly #deps: ClientSightingsDependencies
  readonly #recent = new LRUCache<string, number>(upTo(10_000))
  #buffer = new Map<string, ClientSighting>()
  #timer: Timer | undefined

  constructor(deps: ClientSightingsDependencies) {
    this.#deps = deps
  }

  record(
    requester: { readonly userId: UserId; readonly deviceId: DeviceId | undefined },
    client: { readonly ip: string; readonly userAgent: string | undefined },
  ): void {
    const now = this.#deps.clock.now()
    const userAgent = (client.userAgent ?? '').slice(0, MAX_USER_AGENT_LENGTH)
    const key = `${requester.userId}\0${requester.deviceId ?? ''}\0${client.ip}\0${userAgent}`
    if (now - (this.#recent.get(key) ?? -Infinity) < GRANULARITY_MS) return
    if (this.#buffer.size >= MAX_BUFFERED) return
    this.#recent.set(key, now)
    this.#buffer.set(key, {
      userId: requester.userId,
      deviceId: requester.deviceId,
      ip: client.ip,
      userAgent,
      lastSeenTs: now,
    })
    this.#timer ??= this.#deps.clock.setTimeout(() => void this.flush(), FLUSH_INTERVAL_MS)
  }

  /** Writes what is waiting to be written; also for when the server stops. */
  async flush(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#buffer.size === 0) return
    const sightings = [...this.#buffer.values()]
    this.#buffer = new Map()
    try {
      await this.#deps.db.write('record_client_sightings', (tx) => this.#deps.clientIps.record(tx, sightings))
    } catch (error) {
      this.#deps.onError(error)
    }
  }
}
