import { LRUCache } from 'lru-cache'
import type { Database } from '../../storage/database.js'
import { EVENT_TXN_LIFETIME_MS, type EventTxnsStore } from '../../storage/stores/event-txns.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import { BloomFilter } from '../../util/bloom-filter.js'
import type { Clock } from '../../util/clock.js'
import { upTo } from '../../util/lru-bounds.js'

interface Device {
  readonly userId: UserId
  readonly deviceId: string
}

interface DeviceTransactions {
  /** Room nid and transaction ID to the answer, which may still be on its way. */
  readonly sent: Map<string, Promise<EventId>>
  /** What else may be in the database. */
  readonly older: OlderTransactions
}

/** Answers kept per device. */
const MAX_PER_DEVICE = 1_000
/** So many more are known to have been sent, by keys of which each takes six bits and a half: bots send this much. */
const MAX_OLDER = 20_000
const OLDER_BITS = 131_072

/** Transactions whose answers only the database has: of a device that sends much, it is not asked about each new one. */
class OlderTransactions {
  #filter: BloomFilter | undefined
  #count = 0

  add(keys: readonly string[]): void {
    this.#count += keys.length
    if (this.#count > MAX_OLDER) this.#filter = undefined
    if (this.#count > MAX_OLDER || keys.length === 0) return
    this.#filter ??= new BloomFilter(OLDER_BITS)
    for (const key of keys) this.#filter.add(key)
  }

  mayHave(key: string): boolean {
    return this.#count > MAX_OLDER || (this.#filter?.mayHave(key) ?? false)
  }
}

/**
 * Makes sending idempotent per device, room and transaction ID. The database is asked once per device, for what was
 * sent before this process began, and about transactions that look as if they were sent long ago.
 */
export class SentTransactions {
  readonly #db: Database
  readonly #store: EventTxnsStore
  readonly #clock: Clock
  readonly #devices = new LRUCache<string, Promise<DeviceTransactions>>(upTo(20_000))

  constructor(db: Database, store: EventTxnsStore, clock: Clock) {
    this.#db = db
    this.#store = store
    this.#clock = clock
  }

  /** The answer to the same transaction if it was sent before; otherwise what `send` gives, remembered if it succeeds. */
  async once(
    device: Device,
    txn: { roomNid: number; txnId: string },
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const known = await this.#load(device)
    const key = keyOf(txn)
    const earlier = known.sent.get(key)
    if (earlier) return earlier
    const sending = this.#send(device, txn, { mayBeStored: known.older.mayHave(key), send })
    known.sent.set(key, sending)
    try {
      const eventId = await sending
      forgetOldest(known)
      return eventId
    } catch (error) {
      known.sent.delete(key)
      throw error
    }
  }

  async #send(
    device: Device,
    txn: { roomNid: number; txnId: string },
    how: { mayBeStored: boolean; send: () => Promise<EventId> },
  ): Promise<EventId> {
    if (how.mayBeStored) {
      const stored = await this.#store.find(this.#db.reader, device, txn.roomNid, txn.txnId)
      if (stored) return stored
    }
    return how.send()
  }

  #load(device: Device): Promise<DeviceTransactions> {
    const name = nameOf(device)
    const known = this.#devices.get(name)
    if (known) return known
    const loading = this.#read(device)
    this.#devices.set(name, loading)
    loading.catch(() => this.#devices.delete(name))
    return loading
  }

  async #read(device: Device): Promise<DeviceTransactions> {
    const sinceTs = this.#clock.now() - EVENT_TXN_LIFETIME_MS
    const limit = MAX_PER_DEVICE / 2
    const rows = await this.#store.listForDevice(this.#db.reader, device, { sinceTs, limit })
    const older = new OlderTransactions()
    if (rows.length === limit) {
      const range = { sinceTs, limit: MAX_OLDER + 1 }
      older.add((await this.#store.listIdsForDevice(this.#db.reader, device, range)).map(keyOf))
    }
    // The oldest first, so that it is the first to be forgotten.
    const sent = new Map(rows.reverse().map((row) => [keyOf(row), Promise.resolve(row.eventId)] as const))
    return { sent, older }
  }
}

/** Drops the oldest answer where there are too many: the database has it. */
function forgetOldest(known: DeviceTransactions): void {
  if (known.sent.size <= MAX_PER_DEVICE) return
  const [oldest] = known.sent.keys()
  if (oldest === undefined) return
  known.sent.delete(oldest)
  known.older.add([oldest])
}

function keyOf({ roomNid, txnId }: { readonly roomNid: number; readonly txnId: string }): string {
  return `${roomNid}\u0000${txnId}`
}

function nameOf(device: Device): string {
  return `${device.userId}\u0000${device.deviceId}`
}
