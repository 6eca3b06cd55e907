import createKnex, { type Knex } from 'knex'
import type { Event } from '../../src/protocol/event.js'
import { SERVER_NAME } from './homeserver.js'

/** The tables of a Synapse that tests fill, with their columns; booleans are numbers. */
const TABLES: Readonly<Record<string, string>> = {
  schema_version: 'version INTEGER',
  schema_compat_version: 'compat_version INTEGER',
  users:
    'name TEXT PRIMARY KEY, password_hash TEXT, creation_ts BIGINT, admin INT DEFAULT 0, is_guest INT DEFAULT 0, ' +
    'appservice_id TEXT, user_type TEXT, deactivated INT DEFAULT 0, shadow_banned INT DEFAULT 0, consent_version TEXT, approved INT',
  erased_users: 'user_id TEXT',
  profiles: 'user_id TEXT UNIQUE, displayname TEXT, avatar_url TEXT',
  user_external_ids: 'auth_provider TEXT, external_id TEXT, user_id TEXT',
  devices:
    'user_id TEXT, device_id TEXT, display_name TEXT, last_seen BIGINT, ip TEXT, user_agent TEXT, hidden INT DEFAULT 0',
  device_lists_stream: 'stream_id BIGINT, user_id TEXT, device_id TEXT',
  access_tokens:
    'id BIGINT PRIMARY KEY, user_id TEXT, device_id TEXT, token TEXT UNIQUE, valid_until_ms BIGINT, ' +
    'puppets_user_id TEXT, last_validated BIGINT, refresh_token_id BIGINT, used INT',
  e2e_device_keys_json: 'user_id TEXT, device_id TEXT, ts_added_ms BIGINT, key_json TEXT',
  e2e_one_time_keys_json:
    'user_id TEXT, device_id TEXT, algorithm TEXT, key_id TEXT, ts_added_ms BIGINT, key_json TEXT',
  device_inbox: 'user_id TEXT, device_id TEXT, stream_id BIGINT, message_json TEXT',
  push_rules:
    'id BIGINT PRIMARY KEY, user_name TEXT, rule_id TEXT, priority_class INT, priority INT, conditions TEXT, actions TEXT',
  push_rules_enable: 'id BIGINT PRIMARY KEY, user_name TEXT, rule_id TEXT, enabled INT',
  account_data: 'user_id TEXT, account_data_type TEXT, stream_id BIGINT, content TEXT',
  room_tags: 'user_id TEXT, room_id TEXT, tag TEXT, content TEXT',
  room_tags_revisions: 'user_id TEXT, room_id TEXT, stream_id BIGINT',
  receipts_linearized:
    'stream_id BIGINT, room_id TEXT, receipt_type TEXT, user_id TEXT, event_id TEXT, data TEXT, thread_id TEXT',
  login_tokens: 'token TEXT PRIMARY KEY, user_id TEXT, expiry_ts BIGINT',
  rooms: 'room_id TEXT PRIMARY KEY, is_public INT, creator TEXT, room_version TEXT',
  room_aliases: 'room_alias TEXT UNIQUE, room_id TEXT, creator TEXT',
  partial_state_rooms: 'room_id TEXT PRIMARY KEY',
  events:
    'stream_ordering INTEGER PRIMARY KEY, event_id TEXT UNIQUE, type TEXT, room_id TEXT, outlier INT, depth BIGINT, ' +
    'origin_server_ts BIGINT, received_ts BIGINT, sender TEXT, state_key TEXT',
  event_json: 'event_id TEXT UNIQUE, room_id TEXT, internal_metadata TEXT, json TEXT, format_version INT',
  event_to_state_groups: 'event_id TEXT UNIQUE, state_group BIGINT',
  state_groups: 'id BIGINT PRIMARY KEY, room_id TEXT, event_id TEXT',
  state_group_edges: 'state_group BIGINT, prev_state_group BIGINT',
  state_groups_state: 'state_group BIGINT, room_id TEXT, type TEXT, state_key TEXT, event_id TEXT',
  rejections: 'event_id TEXT UNIQUE, reason TEXT, last_check TEXT',
  redactions: 'event_id TEXT UNIQUE, redacts TEXT, have_censored INT',
  current_state_events:
    'event_id TEXT UNIQUE, room_id TEXT, type TEXT, state_key TEXT, membership TEXT, UNIQUE (room_id, type, state_key)',
  room_memberships:
    'event_id TEXT UNIQUE, user_id TEXT, sender TEXT, room_id TEXT, membership TEXT, forgotten INT DEFAULT 0, ' +
    'display_name TEXT, avatar_url TEXT',
  local_current_membership: 'room_id TEXT, user_id TEXT, event_id TEXT, membership TEXT',
  event_forward_extremities: 'event_id TEXT, room_id TEXT',
}

type Row = Record<string, string | number | null>

/** How an event is held. */
export interface SourceEventOptions {
  readonly isOutlier?: boolean
  readonly rejected?: string
  readonly isSoftFailed?: boolean
  /** Fetched as history: its position is negative. */
  readonly isBackfilled?: boolean
  /** State groups build on the last one of the room unless a whole one is written. */
  readonly isWholeState?: boolean
  /** What its server has written beside it. */
  readonly unsigned?: Record<string, unknown>
}

interface RoomState {
  readonly entries: Map<string, Event>
  group: number | undefined
}

/** A database as a Synapse would have left it, with the tables that are needed, on SQLite. */
export class SynapseDatabase implements AsyncDisposable {
  readonly path: string
  readonly #knex: Knex
  readonly #rooms = new Map<string, RoomState>()
  #newest = 1
  #oldest = 0
  #group = 0

  private constructor(path: string) {
    this.path = path
    this.#knex = createKnex({ client: 'sqlite3', connection: { filename: path }, useNullAsDefault: true })
  }

  static async create(path: string, { version = 94, compatVersion = 84 } = {}): Promise<SynapseDatabase> {
    const database = new SynapseDatabase(path)
    // A test does not outlive the loss of power.
    await database.#knex.raw('PRAGMA synchronous = OFF')
    await database.#knex.raw('PRAGMA journal_mode = WAL')
    for (const [table, columns] of Object.entries(TABLES))
      await database.#knex.raw(`CREATE TABLE ${table} (${columns})`)
    await database.insert('schema_version', { version })
    await database.insert('schema_compat_version', { compat_version: compatVersion })
    return database
  }

  async insert(table: string, ...rows: Row[]): Promise<void> {
    for (const row of rows) await this.#knex(table).insert(row)
  }

  async run(sql: string, params: readonly (string | number)[] = []): Promise<void> {
    await this.#knex.raw(sql, [...params])
  }

  /** A user with a session. */
  async addUser(
    localpart: string,
    { token, deviceId = 'DEVICE', ...columns }: { token?: string; deviceId?: string } & Row = {},
  ): Promise<string> {
    const name = `@${localpart}:${SERVER_NAME}`
    await this.insert('users', { name, creation_ts: 1_700_000_000, ...columns })
    await this.insert('profiles', { user_id: localpart, displayname: localpart, avatar_url: null })
    if (token === undefined) return name
    await this.insert('devices', { user_id: name, device_id: deviceId, display_name: 'Phone' })
    const id = (await this.#knex('access_tokens').count({ n: '*' }).first())?.['n']
    await this.insert('access_tokens', {
      id: Number(id) + 1,
      user_id: name,
      device_id: deviceId,
      token,
      used: 0,
    })
    return name
  }

  /** A room with its first events, each the state of which is that of the one before with its own. */
  async addRoom(
    { roomId, version, events }: { roomId: string; version: string; events: readonly Event[] },
    options: { isPublic?: boolean } = {},
  ): Promise<void> {
    await this.insert('rooms', {
      room_id: roomId,
      is_public: options.isPublic === true ? 1 : 0,
      creator: events[0]?.sender ?? null,
      room_version: version,
    })
    for (const event of events) await this.addEvent(event)
    await this.settle(roomId)
  }

  /** Adds an event; its position. */
  async addEvent(event: Event, options: SourceEventOptions = {}): Promise<number> {
    const { eventId, roomId, type, sender, stateKey } = event
    const position = options.isBackfilled === true ? --this.#oldest : ++this.#newest
    await this.insert('events', {
      stream_ordering: position,
      event_id: eventId,
      type,
      room_id: roomId,
      outlier: options.isOutlier === true ? 1 : 0,
      depth: event.depth,
      origin_server_ts: event.originServerTs,
      received_ts: event.originServerTs + 1,
      sender,
      state_key: stateKey ?? null,
    })
    await this.insert('event_json', {
      event_id: eventId,
      room_id: roomId,
      internal_metadata: JSON.stringify(options.isSoftFailed === true ? { soft_failed: true } : {}),
      json: JSON.stringify({ ...event.json, unsigned: { age_ts: 17, ...options.unsigned } }),
      format_version: 3,
    })
    if (options.rejected !== undefined)
      await this.insert('rejections', { event_id: eventId, reason: options.rejected, last_check: '' })
    if (event.redacts !== undefined)
      await this.insert('redactions', { event_id: eventId, redacts: event.redacts, have_censored: 0 })
    if (type === 'm.room.member') await this.#addMembership(event)
    if (options.isOutlier !== true) await this.#addState(event, options)
    return position
  }

  /** Writes how a room is now, from its state and its last event. */
  async settle(roomId: string, ends?: readonly Event[]): Promise<void> {
    const state = this.#rooms.get(roomId)?.entries ?? new Map<string, Event>()
    for (const table of ['current_state_events', 'event_forward_extremities', 'local_current_membership'])
      await this.#knex(table).where({ room_id: roomId }).delete()
    for (const event of state.values()) {
      const { membership } = event.content
      await this.insert('current_state_events', {
        event_id: event.eventId,
        room_id: roomId,
        type: event.type,
        state_key: event.stateKey ?? '',
        membership: typeof membership === 'string' ? membership : null,
      })
      if (event.type === 'm.room.member' && event.stateKey?.endsWith(`:${SERVER_NAME}`)) {
        await this.insert('local_current_membership', {
          room_id: roomId,
          user_id: event.stateKey,
          event_id: event.eventId,
          membership: typeof membership === 'string' ? membership : '',
        })
      }
    }
    const last = await this.#knex('events')
      .where({ room_id: roomId, outlier: 0 })
      .orderBy('depth', 'desc')
      .first<{ event_id: string } | undefined>()
    const ids = ends?.map(({ eventId }) => eventId) ?? (last ? [last.event_id] : [])
    for (const id of ids) await this.insert('event_forward_extremities', { event_id: id, room_id: roomId })
  }

  async close(): Promise<void> {
    await this.#knex.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #addMembership(event: Event): Promise<void> {
    const { membership, displayname } = event.content
    await this.insert('room_memberships', {
      event_id: event.eventId,
      user_id: event.stateKey ?? '',
      sender: event.sender,
      room_id: event.roomId,
      membership: typeof membership === 'string' ? membership : '',
      display_name: typeof displayname === 'string' ? displayname : null,
      avatar_url: null,
    })
  }

  async #addState(event: Event, options: SourceEventOptions): Promise<void> {
    const { roomId, eventId, type, stateKey } = event
    const state = this.#rooms.get(roomId) ?? { entries: new Map<string, Event>(), group: undefined }
    this.#rooms.set(roomId, state)
    const changes = stateKey !== undefined && options.rejected === undefined
    if (changes || state.group === undefined) {
      const previous = state.group
      state.group = ++this.#group
      if (changes) state.entries.set(`${type}\0${stateKey}`, event)
      await this.insert('state_groups', { id: state.group, room_id: roomId, event_id: eventId })
      const isWhole = options.isWholeState === true || previous === undefined
      if (!isWhole)
        await this.insert('state_group_edges', { state_group: state.group, prev_state_group: previous })
      for (const held of isWhole ? state.entries.values() : [event]) {
        await this.insert('state_groups_state', {
          state_group: state.group,
          room_id: roomId,
          type: held.type,
          state_key: held.stateKey ?? '',
          event_id: held.eventId,
        })
      }
    }
    await this.insert('event_to_state_groups', { event_id: eventId, state_group: state.group })
  }
}
