import {
  createEventServices,
  createEventStores,
  type EventServices,
  type EventStores,
} from '../../src/server/wire-events.js'
import type { EventReceiver } from '../../src/services/events/event-receiver.js'
import type { Reception } from '../../src/services/events/reception.js'
import type { BatchDraft, EventSender } from '../../src/services/events/event-sender.js'
import type { OutlierReceiver } from '../../src/services/events/outlier-receiver.js'
import type { EventPersister } from '../../src/services/events/event-persister.js'
import type { RoomState } from '../../src/services/events/room-state.js'
import type { PositionHints } from '../../src/services/streams/notifier.js'
import { authEventKeys } from '../../src/protocol/auth-events.js'
import type { Event } from '../../src/protocol/event.js'
import { buildEvent, type EventSigner } from '../../src/protocol/event-builder.js'
import { referenceHash } from '../../src/protocol/hashes.js'
import type { DeviceId, EventId, RoomId, ServerName, UserId } from '../../src/protocol/ids.js'
import { createSigner, makeSigningKey } from '../../src/protocol/signing-keys.js'
import { stateKeyOf } from '../../src/protocol/state-map.js'
import { CacheRegistry } from '../../src/storage/cache-registry.js'
import type { Database, Query, Tx } from '../../src/storage/database.js'
import type { StoredEvent } from '../../src/storage/stores/events.js'
import type { RoomRecord } from '../../src/storage/stores/rooms.js'
import { IdAllocator } from '../../src/storage/streams/sequences.js'
import { StreamIdGenerator } from '../../src/storage/streams/stream-id-generator.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import type { JsonObject } from '../../src/util/json.js'
import { rulesOf } from './auth-room.js'
import { ManualClock } from './manual-clock.js'

export const SERVER = 'hs.test' as ServerName
export const ALICE = '@alice:hs.test' as UserId
export const BOB = '@bob:hs.test' as UserId
export const CAROL = '@carol:other.test' as UserId

/** What a database was asked to do. */
export interface StatementCounts {
  /** Outside of transactions. */
  reads: number
  transactions: number
  /** In write transactions. */
  writes: number
}

export interface EventFixture {
  readonly db: Database
  readonly clock: ManualClock
  readonly stores: EventStores
  /** All of the write path; the parts that most tests use have names of their own. */
  readonly services: EventServices
  readonly sender: EventSender
  readonly receiver: EventReceiver
  readonly outliers: OutlierReceiver
  readonly persister: EventPersister
  readonly roomState: RoomState
  readonly eventStream: StreamIdGenerator
  readonly positions: PositionHints[]
  readonly counts: StatementCounts
  /** Whether the next transactions of a name fail, one after the other. */
  readonly failing: Map<string, boolean[]>
  /** A second process on the same database: empty caches, ids of its own. */
  restart(): Promise<EventFixture>
  /** The events of a room in the order of the stream, without outliers. */
  timeline(roomId: RoomId): Promise<StoredEvent[]>
  /** The current state as `type/stateKey` to event ID, from the flat table. */
  currentState(roomId: RoomId): Promise<Record<string, string>>
}

/** The write path on a database, as a server has it, with counters and failures on demand. */
export async function createEventFixture(inner: Database): Promise<EventFixture> {
  const counts: StatementCounts = { reads: 0, transactions: 0, writes: 0 }
  const failing = new Map<string, boolean[]>()
  const db = observed(inner, counts, failing)
  const clock = new ManualClock()
  const stores = createEventStores(new CacheRegistry(createMetrics()), { eventCacheSize: 10_000 })
  const positions: PositionHints[] = []
  const streams = {
    events: await openStream(inner, 'events_stream_seq', false),
    backfill: await openStream(inner, 'events_backfill_seq', true),
  }
  const services = createEventServices(
    {
      storage: { db, streams: streams as never, ids: await openIds(inner) },
      clock,
      positions: { onNewPosition: (_stream, hints) => positions.push(hints) },
      signer: await signerOf(SERVER),
    },
    stores,
    { serverName: SERVER, countsUnread: true },
  )
  const nidOf = async (roomId: RoomId): Promise<number> =>
    (await services.roomState.requireRoom(roomId)).roomNid
  return {
    db,
    clock,
    stores,
    services,
    sender: services.eventSender,
    receiver: services.eventReceiver,
    outliers: services.outlierReceiver,
    persister: services.eventPersister,
    roomState: services.roomState,
    eventStream: streams.events,
    positions,
    counts,
    failing,
    restart: () => createEventFixture(inner),
    timeline: async (roomId) => {
      const rows = await inner.reader.all<{ event_nid: number }>(
        'SELECT event_nid FROM events WHERE room_nid = ? AND stream_ordering IS NOT NULL ORDER BY stream_ordering',
        [await nidOf(roomId)],
      )
      const nids = rows.map((row) => row.event_nid)
      const events = await stores.events.getByNids(inner.reader, nids)
      return nids.map((nid) => events.get(nid)!)
    },
    currentState: async (roomId) => {
      const rows = await inner.reader.all<{ type: string; state_key: string; event_id: string }>(
        `SELECT s.type, s.state_key, e.event_id FROM current_state s JOIN events e ON e.event_nid = s.event_nid
         WHERE s.room_nid = ? ORDER BY s.type, s.state_key`,
        [await nidOf(roomId)],
      )
      return Object.fromEntries(rows.map((row) => [`${row.type}/${row.state_key}`, row.event_id]))
    },
  }
}

/** Signs for a server; always with the same key. */
export async function signerOf(server: ServerName): Promise<EventSigner> {
  return createSigner(server, makeSigningKey('test', Buffer.alloc(32, server.length)))
}

/** A room of Alice's that everybody may join. */
export async function createRoom(
  { sender }: Pick<EventFixture, 'sender'>,
  options: { version?: string; creator?: UserId; levels?: JsonObject; drafts?: readonly BatchDraft[] } = {},
): Promise<RoomId> {
  const { version = '12', creator = ALICE } = options
  const rules = rulesOf(version)
  const users = version === '12' ? {} : { [creator]: 100 }
  const { roomId } = await sender.createRoom(creator, {
    rules,
    createContent: { room_version: version, ...(!rules.implicitCreator && { creator }) },
    isPublic: true,
    drafts: () => [
      { type: 'm.room.member', stateKey: creator, content: { membership: 'join' } },
      { type: 'm.room.power_levels', stateKey: '', content: { users, ...options.levels } },
      { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } },
      ...(options.drafts ?? []),
    ],
  })
  return roomId
}

export function deviceOf(userId: UserId): { userId: UserId; deviceId: DeviceId } {
  return { userId, deviceId: 'DEVICE' as DeviceId }
}

export function joinOf(userId: UserId): { type: string; stateKey: string; content: JsonObject } {
  return { type: 'm.room.member', stateKey: userId, content: { membership: 'join' } }
}

/** What another server says, in the words of tests. */
export interface RemoteDraft {
  readonly type: string
  readonly sender: UserId
  readonly stateKey?: string
  readonly content: JsonObject
  readonly ts?: number
  /** Instead of what the selection says. */
  readonly authEvents?: readonly Event[]
}

/** Makes events of a room as another server that is in it would, after any events that it likes. */
export class RemoteServer {
  readonly #fixture: EventFixture
  readonly #room: RoomRecord
  readonly #signer: EventSigner
  readonly #made = new Map<EventId, Event>()

  private constructor(fixture: EventFixture, room: RoomRecord, signer: EventSigner) {
    this.#fixture = fixture
    this.#room = room
    this.#signer = signer
  }

  static async of(fixture: EventFixture, roomId: RoomId, server = 'other.test'): Promise<RemoteServer> {
    const room = await fixture.roomState.requireRoom(roomId)
    return new RemoteServer(fixture, room, await signerOf(server as ServerName))
  }

  /** An event after others, with auth events from the state after the first of those. */
  async make(after: readonly Event[], draft: RemoteDraft): Promise<Event> {
    const { rules, roomId } = this.#room
    const authEvents = draft.authEvents ?? (await this.#authEvents(after[0]!, draft))
    const event = buildEvent(
      rules,
      {
        roomId,
        type: draft.type,
        sender: draft.sender,
        ...(draft.stateKey !== undefined && { stateKey: draft.stateKey }),
        content: draft.content,
        prevEvents: after.map(reference),
        authEvents: authEvents.map(reference),
        depth: Math.max(0, ...after.map((event) => event.depth)) + 1,
        originServerTs: draft.ts ?? this.#fixture.clock.now(),
      },
      this.#signer,
    )
    this.#made.set(event.eventId, event)
    return event
  }

  receive(event: Event): Promise<Reception> {
    return this.#fixture.receiver.receive(this.#room, event)
  }

  async send(after: readonly Event[], draft: RemoteDraft): Promise<Event> {
    const event = await this.make(after, draft)
    const reception = await this.receive(event)
    if (reception.outcome !== 'accepted') throw new Error(`${event.type} was ${JSON.stringify(reception)}`)
    return event
  }

  async #authEvents(after: Event, input: RemoteDraft): Promise<Event[]> {
    const q = this.#fixture.db.reader
    const stored = await this.#fixture.stores.events.get(q, after.eventId)
    if (typeof stored?.stateAfter !== 'number') throw new Error(`There is no state after ${after.eventId}`)
    const state = await this.#fixture.stores.snapshots.get(q, stored.stateAfter)
    const keys = authEventKeys(this.#room.rules, input).map(([type, key]) => stateKeyOf(type, key))
    const keyNids = await this.#fixture.stores.stateKeys.find(q, keys)
    const nids = [...keyNids.values()].flatMap((keyNid) => state.get(keyNid) ?? [])
    const events = await this.#fixture.stores.events.getByNids(q, nids)
    return [...events.values()].map(({ event }) => event)
  }
}

function reference(event: Event): { eventId: EventId; sha256: string } {
  return { eventId: event.eventId, sha256: referenceHash(event) }
}

function openStream(db: Database, sequence: string, negated: boolean): Promise<StreamIdGenerator> {
  return StreamIdGenerator.open(db, { sequence, table: 'events', column: 'stream_ordering', negated })
}

async function openIds(
  db: Database,
): Promise<Record<'rooms' | 'events' | 'stateKeys' | 'snapshots' | 'authChains', IdAllocator>> {
  const open = (sequence: string, table: string, column: string): Promise<IdAllocator> =>
    IdAllocator.open(db, { sequence, table, column })
  return {
    rooms: await open('room_nid_seq', 'rooms', 'room_nid'),
    events: await open('event_nid_seq', 'events', 'event_nid'),
    stateKeys: await open('state_key_nid_seq', 'state_keys', 'key_nid'),
    snapshots: await open('snapshot_nid_seq', 'state_snapshots', 'snapshot_nid'),
    authChains: await open('auth_chain_nid_seq', 'auth_chains', 'chain_nid'),
  }
}

/** A database that counts what it is asked, and fails where a test wants it to. */
function observed(db: Database, counts: StatementCounts, failing: Map<string, boolean[]>): Database {
  const counting = <T extends Query>(query: T, count: () => void): T =>
    new Proxy(query, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        if (['all', 'first', 'run', 'execute', 'insertMany'].includes(String(name))) {
          return (...args: unknown[]) => {
            count()
            return (value as (...given: unknown[]) => unknown).apply(target, args)
          }
        }
        return value.bind(target) as unknown
      },
    })
  return {
    dialect: db.dialect,
    reader: counting(db.reader, () => counts.reads++),
    read: (name, fn) => db.read(name, (q) => fn(counting(q, () => counts.reads++))),
    write: (name, fn) => {
      counts.transactions++
      return db.write(name, async (tx: Tx) => {
        const result = await fn(counting(tx, () => counts.writes++))
        if (failing.get(name)?.shift() !== true) return result
        throw new Error(`${name} fails as the test wants`)
      })
    },
    close: () => db.close(),
  }
}
