import type { CacheRegistry, BulkCache } from '../../storage/cache-registry.js'
import type { Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import { parseRetentionPolicy, RETENTION_TYPE, type RetentionPolicy } from '../../protocol/retention.js'
import type { RoomId } from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'

/** `retention`. */
export interface RetentionOptions {
  /** For rooms that say nothing. */
  readonly defaultPolicy: RetentionPolicy
  /** The bounds within which rooms may choose. */
  readonly allowedLifetimeMinMs: number | undefined
  readonly allowedLifetimeMaxMs: number | undefined
}

interface Parts {
  readonly clock: Clock
  readonly caches: CacheRegistry
  readonly rooms: RoomsStore
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
}

/** Stands for "for ever", which caches cannot tell from "not known". */
const FOR_EVER = Infinity

/** How long messages may be read, room by room. State has no end. */
export class RetentionPolicies implements PositionSink {
  readonly #parts: Parts
  readonly #options: RetentionOptions
  readonly #lifetimes: BulkCache<RoomId, number>

  constructor(parts: Parts, options: RetentionOptions) {
    this.#parts = parts
    this.#options = options
    this.#lifetimes = parts.caches.create({ name: 'room_retention', max: 20_000 })
  }

  /** The longest lifetime of messages, in milliseconds, of those of the rooms that have one. */
  async maxLifetimes(q: Query, roomNids: readonly number[]): Promise<Map<number, number>> {
    const rooms = [...(await this.#parts.rooms.getByNids(q, roomNids)).values()]
    const nids = new Map(rooms.map(({ roomId, roomNid }) => [roomId, roomNid]))
    const lifetimes = await this.#lifetimes.getMany([...nids.keys()], (missing) =>
      this.#load(q, new Map(missing.map((roomId) => [nids.get(roomId)!, roomId]))),
    )
    return new Map(
      [...lifetimes].filter(([, ms]) => ms !== FOR_EVER).map(([roomId, ms]) => [nids.get(roomId)!, ms]),
    )
  }

  /** Leaves out messages that are older than their room lets them become. */
  async filter(q: Query, events: StoredEvent[]): Promise<StoredEvent[]> {
    const messages = events.filter(({ event }) => !event.isState())
    if (messages.length === 0) return events
    const lifetimes = await this.maxLifetimes(q, [...new Set(messages.map(({ roomNid }) => roomNid))])
    if (lifetimes.size === 0) return events
    const now = this.#parts.clock.now()
    return events.filter(
      ({ event, roomNid }) =>
        event.isState() || event.originServerTs >= now - (lifetimes.get(roomNid) ?? FOR_EVER),
    )
  }

  onNewPosition(stream: StreamName, { rooms = [] }: PositionHints): void {
    if (stream === 'events') for (const roomId of rooms) this.#lifetimes.delete(roomId)
  }

  async #load(q: Query, rooms: ReadonlyMap<number, RoomId>): Promise<Map<RoomId, number>> {
    const { currentState, events } = this.#parts
    const entries = await currentState.getForRooms(q, [...rooms.keys()], [[RETENTION_TYPE, '']])
    const stored = await events.getByNids(
      q,
      entries.map(({ eventNid }) => eventNid),
    )
    const policies = new Map(
      [...stored.values()].map(({ roomNid, event }) => [roomNid, parseRetentionPolicy(event.content)]),
    )
    return new Map([...rooms].map(([roomNid, roomId]) => [roomId, this.#effective(policies.get(roomNid))]))
  }

  #effective(policy: RetentionPolicy | undefined): number {
    const { defaultPolicy, allowedLifetimeMinMs, allowedLifetimeMaxMs } = this.#options
    const wanted = policy?.maxLifetimeMs
    if (wanted === undefined) return defaultPolicy.maxLifetimeMs ?? FOR_EVER
    return Math.max(allowedLifetimeMinMs ?? 0, Math.min(wanted, allowedLifetimeMaxMs ?? FOR_EVER))
  }
}
