import { createEventServices, createEventStores, type EventStores } from '../../src/server/wire-events.js'
import {
  createReadingServices,
  createReadingStores,
  type EventReading,
  type ReadingServices,
  type ReadingStores,
} from '../../src/server/wire-reading.js'
import type { EventReader } from '../../src/services/events/client-events.js'
import type { EventSender } from '../../src/services/events/event-sender.js'
import type { RoomState } from '../../src/services/events/room-state.js'
import type { DeviceId, EventId, RoomId, ServerName, UserId } from '../../src/protocol/ids.js'
import { getRoomVersionRules } from '../../src/protocol/room-versions.js'
import { createSigner, makeSigningKey } from '../../src/protocol/signing-keys.js'
import { CacheRegistry } from '../../src/storage/cache-registry.js'
import type { Database } from '../../src/storage/database.js'
import { AccountDataStore } from '../../src/storage/stores/account-data.js'
import { PublicRoomsStore } from '../../src/storage/stores/public-rooms.js'
import type { StoredEvent } from '../../src/storage/stores/events.js'
import { IdAllocator } from '../../src/storage/streams/sequences.js'
import { StreamIdGenerator } from '../../src/storage/streams/stream-id-generator.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import type { JsonObject } from '../../src/util/json.js'
import { ManualClock } from './manual-clock.js'

export const ALICE = '@alice:hs.test' as UserId
export const BOB = '@bob:hs.test' as UserId
export const CAROL = '@carol:hs.test' as UserId

export function readerOf(userId: UserId, deviceId = 'DEVICE'): EventReader {
  return { userId, deviceId: deviceId as DeviceId }
}

/** What a test wants its room to be. */
export interface TestRoomOptions {
  readonly creator?: UserId
  readonly version?: string
  readonly historyVisibility?: string
}

/** Rooms made by the real write path, and the services that read them. */
export class ReadingFixture {
  readonly db: Database
  readonly clock: ManualClock
  readonly stores: EventStores &
    ReadingStores & { accountData: AccountDataStore; publicRooms: PublicRoomsStore }
  readonly services: ReadingServices
  readonly reading: EventReading
  readonly sender: EventSender
  readonly roomState: RoomState

  private constructor(parts: {
    db: Database
    clock: ManualClock
    stores: ReadingFixture['stores']
    services: ReadingServices
    sender: EventSender
    roomState: RoomState
  }) {
    this.db = parts.db
    this.clock = parts.clock
    this.stores = parts.stores
    this.services = parts.services
    this.reading = parts.services.reading
    this.sender = parts.sender
    this.roomState = parts.roomState
  }

  static async create(db: Database): Promise<ReadingFixture> {
    const clock = new ManualClock()
    const caches = new CacheRegistry(createMetrics())
    const eventStores = createEventStores(caches, { eventCacheSize: 1000 })
    const stores = {
      ...eventStores,
      ...createReadingStores(eventStores.events),
      accountData: new AccountDataStore(),
      publicRooms: new PublicRoomsStore(),
    }
    const serverName = 'hs.test' as ServerName
    const events = await StreamIdGenerator.open(db, {
      sequence: 'events_stream_seq',
      table: 'events',
      column: 'stream_ordering',
    })
    const backfill = await StreamIdGenerator.open(db, {
      sequence: 'events_backfill_seq',
      table: 'events',
      column: 'stream_ordering',
      negated: true,
    })
    const written = createEventServices(
      {
        storage: { db, streams: { events, backfill } as never, ids: await openIds(db) },
        clock,
        positions: { onNewPosition: () => undefined },
        signer: createSigner(serverName, makeSigningKey('test', Buffer.alloc(32, 7))),
      },
      eventStores,
      { serverName, countsUnread: true },
    )
    const { roomState, eventSender: sender } = written
    const eventsPosition = (): number => events.position()
    const services = createReadingServices({ db, clock, eventsPosition, roomState }, stores, stores)
    return new ReadingFixture({ db, clock, stores, services, sender, roomState })
  }

  /** A room that everybody may join. */
  async createRoom(options: TestRoomOptions = {}): Promise<RoomId> {
    const { creator = ALICE, version = '12', historyVisibility } = options
    const state = (type: string, content: JsonObject, stateKey = '') => ({ type, stateKey, content })
    const { roomId } = await this.sender.createRoom(creator, {
      rules: getRoomVersionRules(version)!,
      createContent: { room_version: version, ...(Number(version) < 11 && { creator }) },
      drafts: () => [
        state('m.room.member', { membership: 'join' }, creator),
        state('m.room.power_levels', {
          ...(version !== '12' && { users: { [creator]: 100 } }),
          events_default: 0,
        }),
        state('m.room.join_rules', { join_rule: 'public' }),
        ...(historyVisibility === undefined
          ? []
          : [state('m.room.history_visibility', { history_visibility: historyVisibility })]),
      ],
      isPublic: false,
    })
    return roomId
  }

  async send(
    userId: UserId,
    roomId: RoomId,
    draft: { type?: string; content?: JsonObject; stateKey?: string; txnId?: string; ts?: number } = {},
  ): Promise<EventId> {
    const { type = 'm.room.message', content = { msgtype: 'm.text', body: 'hello' }, ...rest } = draft
    const source = { userId, deviceId: 'DEVICE' as DeviceId }
    return this.sender.send(source, { roomId, type, content, ...rest })
  }

  /** Text messages, and their event IDs. */
  async say(userId: UserId, roomId: RoomId, ...texts: readonly string[]): Promise<EventId[]> {
    const ids: EventId[] = []
    for (const body of texts)
      ids.push(await this.send(userId, roomId, { content: { msgtype: 'm.text', body } }))
    return ids
  }

  async setMembership(
    roomId: RoomId,
    membership: 'join' | 'invite' | 'leave' | 'ban',
    { target, by = target }: { target: UserId; by?: UserId },
  ): Promise<EventId> {
    return this.send(by, roomId, { type: 'm.room.member', stateKey: target, content: { membership } })
  }

  join(userId: UserId, roomId: RoomId): Promise<EventId> {
    return this.setMembership(roomId, 'join', { target: userId })
  }

  leave(userId: UserId, roomId: RoomId): Promise<EventId> {
    return this.setMembership(roomId, 'leave', { target: userId })
  }

  /** A message that relates to an event. */
  relate(
    userId: UserId,
    roomId: RoomId,
    relation: { relType: string; eventId: EventId; type?: string; content?: JsonObject; ts?: number },
  ): Promise<EventId> {
    const {
      relType,
      eventId,
      type = 'm.room.message',
      content = { msgtype: 'm.text', body: 'a reply' },
    } = relation
    return this.send(userId, roomId, {
      type,
      content: { ...content, 'm.relates_to': { rel_type: relType, event_id: eventId } },
      ...(relation.ts !== undefined && { ts: relation.ts }),
    })
  }

  /** An edit of a text message. */
  edit(
    userId: UserId,
    roomId: RoomId,
    eventId: EventId,
    { body, ts }: { body: string; ts?: number },
  ): Promise<EventId> {
    return this.relate(userId, roomId, {
      relType: 'm.replace',
      eventId,
      content: { msgtype: 'm.text', body: `* ${body}`, 'm.new_content': { msgtype: 'm.text', body } },
      ...(ts !== undefined && { ts }),
    })
  }

  redact(userId: UserId, roomId: RoomId, eventId: EventId): Promise<EventId> {
    return this.send(userId, roomId, { type: 'm.room.redaction', content: { redacts: eventId } })
  }

  async get(...ids: readonly EventId[]): Promise<StoredEvent[]> {
    const events = await this.stores.events.getByIds(this.db.reader, ids)
    return ids.map((id) => events.get(id)!)
  }

  /** Says that an event's row is otherwise than it was written: rejected, say. */
  async alter(eventId: EventId, assignments: string): Promise<void> {
    const [stored] = await this.get(eventId)
    await this.db.write('test', (tx) =>
      tx.execute(`UPDATE events SET ${assignments} WHERE event_id = ?`, [eventId]),
    )
    this.stores.events.forget(stored!.eventNid)
  }

  async ignore(userId: UserId, ignored: readonly UserId[]): Promise<void> {
    const content = { ignored_users: Object.fromEntries(ignored.map((id) => [id, {}])) }
    const entry = { roomId: undefined, type: 'm.ignored_user_list', content }
    await this.db.write('test', (tx) => this.stores.accountData.put(tx, userId, entry, 1))
  }
}

async function openIds(db: Database) {
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
