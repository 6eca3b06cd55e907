import { createEventServices, createEventStores, type EventServices } from '../../src/server/wire-events.js'
import { ErasedUsers } from '../../src/services/events/erased-users.js'
import { UsersStore } from '../../src/storage/stores/users.js'
import { createFederationInbound, type FederationInbound } from '../../src/server/wire-federation-inbound.js'
import { FederationError, type FederationRequest } from '../../src/services/remote/federation-client.js'
import { MatrixError } from '../../src/protocol/errors.js'
import type { Event } from '../../src/protocol/event.js'
import { pduJson } from '../../src/protocol/pdu.js'
import type { EventId, RoomId, ServerName, UserId } from '../../src/protocol/ids.js'
import { CacheRegistry } from '../../src/storage/cache-registry.js'
import type { Database } from '../../src/storage/database.js'
import type { StoredEvent } from '../../src/storage/stores/events.js'
import type { RoomRecord } from '../../src/storage/stores/rooms.js'
import { IdAllocator } from '../../src/storage/streams/sequences.js'
import { StreamIdGenerator } from '../../src/storage/streams/stream-id-generator.js'
import { silentLogger } from '../../src/telemetry/logger.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import type { Clock } from '../../src/util/clock.js'
import type { JsonObject } from '../../src/util/json.js'
import { rulesOf } from './auth-room.js'
import { joinOf, RemoteServer, signerOf, type EventFixture } from './event-services.js'

/** How servers of one process reach each other, without a network; undefined: the first does not reach the second. */
export type ServerLookup = (from: ServerName, to: string) => SimulatedServer | undefined

/** The parts of a server that make, judge and exchange events, on a database of its own. */
export class SimulatedServer {
  readonly name: ServerName
  readonly db: Database
  readonly events: EventServices
  readonly stores: ReturnType<typeof createEventStores>
  readonly inbound: FederationInbound
  /** The same server anew, with nothing but what its database holds. */
  readonly restart: () => Promise<SimulatedServer>

  private constructor(
    name: ServerName,
    db: Database,
    parts: Pick<SimulatedServer, 'events' | 'stores' | 'inbound' | 'restart'>,
  ) {
    this.name = name
    this.db = db
    this.events = parts.events
    this.stores = parts.stores
    this.inbound = parts.inbound
    this.restart = parts.restart
  }

  static async start(name: string, db: Database, clock: Clock, find: ServerLookup): Promise<SimulatedServer> {
    const serverName = name as ServerName
    const stores = createEventStores(new CacheRegistry(createMetrics()), { eventCacheSize: 10_000 })
    const events = createEventServices(
      {
        storage: { db, streams: (await openStreams(db)) as never, ids: (await openIds(db)) as never },
        clock,
        positions: { onNewPosition: () => undefined },
        signer: await signerOf(serverName),
      },
      stores,
      { serverName, countsUnread: false },
    )
    const client = { requestWithText: (request: FederationRequest) => answer(serverName, request, find) }
    const inbound = createFederationInbound(
      {
        ...events,
        db,
        clock,
        serverName,
        logger: silentLogger(),
        federationClient: client as never,
        keyring: { verifyEvents: () => Promise.resolve(new Map()) } as never,
        config: { rooms: { maxExtremities: 10 } } as never,
        erased: new ErasedUsers(db, new UsersStore()),
      },
      stores,
    )
    const restart = async (): Promise<SimulatedServer> => {
      await inbound.inbox.stop()
      const anew = await SimulatedServer.start(name, db, clock, find)
      await anew.inbound.inbox.start()
      return anew
    }
    return new SimulatedServer(serverName, db, { events, stores, inbound, restart })
  }

  /** A public room of a user of this server. */
  async createRoom(creator: UserId, version: string, users: JsonObject): Promise<RoomId> {
    const rules = rulesOf(version)
    const { roomId } = await this.events.eventSender.createRoom(creator, {
      rules,
      createContent: { room_version: version, ...(!rules.implicitCreator && { creator }) },
      isPublic: true,
      drafts: () => [
        { type: 'm.room.member', stateKey: creator, content: { membership: 'join' } },
        {
          type: 'm.room.power_levels',
          stateKey: '',
          content: { users: { ...users, ...(!rules.privilegedCreators && { [creator]: 100 }) } },
        },
        { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' } },
      ],
    })
    return roomId
  }

  /** Brings a user of this server into a room that another has, with all of its state. Gives the join. */
  async joinThrough(resident: SimulatedServer, roomId: RoomId, userId: UserId): Promise<Event> {
    const theirs = await resident.room(roomId)
    const fixture = resident.#asFixture()
    const remote = await RemoteServer.of(fixture, roomId, this.name)
    const { extremities } = await resident.#ends(theirs)
    const join = await remote.send(
      extremities.map(({ event }) => event),
      { ...joinOf(userId), sender: userId },
    )
    const { state, authChain } = await resident.inbound.services.roomAnswers.stateBefore(
      this.name,
      roomId,
      join.eventId,
    )
    const { rules, creator, roomType } = theirs
    const room = await this.events.remoteRooms.ensure({ roomId, rules, creator, roomType })
    await this.events.outlierReceiver.receive(
      room,
      [...state, ...authChain].map(({ event }) => event),
    )
    const held = await this.stores.events.getByIds(
      this.db.reader,
      state.map(({ event }) => event.eventId),
    )
    await this.events.roomAdopter.adopt({ room, state: [...held.values()], event: join })
    return join
  }

  room(roomId: RoomId): Promise<RoomRecord> {
    return this.events.roomState.requireRoom(roomId)
  }

  /** Takes events that another server sends in a transaction: they are kept when this resolves, and judged later. */
  async receive(origin: ServerName, txnId: string, events: readonly Event[]): Promise<void> {
    const text = JSON.stringify({ pdus: events.map(pduJson) })
    const body = { json: JSON.parse(text) as JsonObject, text }
    await this.inbound.services.inboundTransactions.receive(origin, txnId, body)
  }

  async stored(eventId: EventId): Promise<StoredEvent | undefined> {
    return this.stores.events.get(this.db.reader, eventId)
  }

  /** All events of a room that have a place in it. */
  async timeline(roomId: RoomId): Promise<StoredEvent[]> {
    const { roomNid } = await this.room(roomId)
    const rows = await this.db.reader.all<{ event_nid: number }>(
      'SELECT event_nid FROM events WHERE room_nid = ? AND stream_ordering IS NOT NULL ORDER BY stream_ordering',
      [roomNid],
    )
    const events = await this.stores.events.getByNids(
      this.db.reader,
      rows.map((row) => row.event_nid),
    )
    return [...events.values()]
  }

  async #ends({ roomNid }: RoomRecord): Promise<{ extremities: StoredEvent[] }> {
    const ends = await this.stores.graph.listForwardExtremities(this.db.reader, roomNid)
    const events = await this.stores.events.getByNids(
      this.db.reader,
      ends.map(({ eventNid }) => eventNid),
    )
    return { extremities: [...events.values()] }
  }

  #asFixture(): EventFixture {
    const { eventReceiver: receiver, roomState } = this.events
    const clock = { now: () => Date.now() }
    return { db: this.db, stores: this.stores, receiver, roomState, clock } as unknown as EventFixture
  }
}

/** What a server answers to another's questions about rooms. */
async function answer(
  origin: ServerName,
  request: FederationRequest,
  find: ServerLookup,
): Promise<{ json: JsonObject; text: string }> {
  const server = find(origin, request.destination)
  if (!server) throw new FederationError(request.destination, 'unreachable', 'the servers are cut off')
  try {
    const json = await route(server, origin, request)
    const text = JSON.stringify(json)
    return { json: JSON.parse(text) as JsonObject, text }
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    const { status, errcode } = error
    throw new FederationError(request.destination, 'refused', error.message, { status, errcode })
  }
}

async function route(
  server: SimulatedServer,
  origin: ServerName,
  { path, query, body }: FederationRequest,
): Promise<JsonObject> {
  const { roomAnswers } = server.inbound.services
  const [what, ...names] = path.split('/').slice(4).map(decodeURIComponent) as [string, ...never[]]
  const at = query?.['event_id'] as EventId
  const pdus = (events: readonly Event[]): JsonObject[] => events.map(pduJson)
  const ids = (events: readonly StoredEvent[]): string[] => events.map(({ event }) => event.eventId)
  switch (what) {
    case 'event':
      return { pdus: pdus([await roomAnswers.event(origin, names[0]!)]) }
    case 'event_auth': {
      const chain = await roomAnswers.authChain(origin, names[0]!, names[1]!)
      return { auth_chain: pdus(chain.map(({ event }) => event)) }
    }
    case 'state_ids': {
      const { state, authChain } = await roomAnswers.stateBefore(origin, names[0]!, at)
      return { pdu_ids: ids(state), auth_chain_ids: ids(authChain) }
    }
    case 'state': {
      const { state, authChain } = await roomAnswers.stateBefore(origin, names[0]!, at)
      const events = (list: readonly StoredEvent[]): JsonObject[] => pdus(list.map(({ event }) => event))
      return { pdus: events(state), auth_chain: events(authChain) }
    }
    case 'get_missing_events': {
      const { earliest_events: earliest, latest_events: latest, limit } = body as Record<string, never>
      const wanted = { earliest: earliest!, latest: latest!, limit: limit!, minDepth: 0 }
      return { events: pdus(await roomAnswers.missingEvents(origin, names[0]!, wanted)) }
    }
    default:
      throw new Error(`Nobody answers ${path}`)
  }
}

async function openStreams(db: Database): Promise<Record<'events' | 'backfill', StreamIdGenerator>> {
  const open = (sequence: string, negated: boolean): Promise<StreamIdGenerator> =>
    StreamIdGenerator.open(db, { sequence, table: 'events', column: 'stream_ordering', negated })
  return { events: await open('events_stream_seq', false), backfill: await open('events_backfill_seq', true) }
}

async function openIds(db: Database): Promise<Record<string, IdAllocator>> {
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
