import createKnex, { type Knex } from 'knex'
import type { Event } from '../../src/protocol/event.js'
import { SERVER_NAME } from './homeserver.js'
import { createStatements, isOfSomeVersions, NEWEST, OF_STATES } from './synapse-schema.js'

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
  /** Where states are: mostly in the same database. */
  readonly #states: Knex
  readonly #columns = new Map<string, Promise<ReadonlySet<string>>>()
  readonly #rooms = new Map<string, RoomState>()
  #newest = 1
  #oldest = 0
  #group = 0

  private constructor(path: string, statesPath: string | undefined) {
    this.path = path
    this.#knex = openFile(path)
    this.#states = statesPath === undefined ? this.#knex : openFile(statesPath)
  }

  /** Makes the tables of a version. `statesPath`: states are to be in a database of their own. */
  static async create(
    path: string,
    {
      version = NEWEST,
      compatVersion = Math.min(version, 84),
      statesPath,
    }: { version?: number; compatVersion?: number; statesPath?: string } = {},
  ): Promise<SynapseDatabase> {
    const database = new SynapseDatabase(path, statesPath)
    const split = database.#states !== database.#knex
    for (const statement of createStatements(version, split ? 'main' : undefined))
      await database.#knex.raw(statement)
    if (split)
      for (const statement of createStatements(version, 'state')) await database.#states.raw(statement)
    for (const knex of new Set([database.#knex, database.#states])) {
      await quicken(knex)
      await knex('schema_version').insert({ version })
      await knex('schema_compat_version').insert({ compat_version: compatVersion })
    }
    return database
  }

  /** One that is there, with the tables that its program has made. */
  static async open(path: string): Promise<SynapseDatabase> {
    const database = new SynapseDatabase(path, undefined)
    await quicken(database.#knex)
    return database
  }

  /** Columns that the version of the schema does not have are left out. */
  async insert(table: string, ...rows: Row[]): Promise<void> {
    const knex = OF_STATES.has(table) ? this.#states : this.#knex
    const columns = await this.columnsOf(table)
    for (const row of rows) {
      const kept = Object.entries(row).filter(([name]) => columns.has(name) || !isOfSomeVersions(table, name))
      await knex(table).insert(Object.fromEntries(kept))
    }
  }

  /** None where there is no such table. */
  columnsOf(table: string): Promise<ReadonlySet<string>> {
    const knex = OF_STATES.has(table) ? this.#states : this.#knex
    const known = this.#columns.get(table)
    if (known) return known
    const read = knex
      .raw<{ name: string }[]>(`SELECT name FROM pragma_table_info(?)`, [table])
      .then((rows) => new Set(rows.map(({ name }) => name)))
    this.#columns.set(table, read)
    return read
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
    await this.insert('profiles', {
      user_id: localpart,
      displayname: localpart,
      avatar_url: null,
      full_user_id: name,
    })
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
      has_auth_chain_index: 1,
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
      topological_ordering: event.depth,
      processed: 1,
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
    for (const knex of new Set([this.#knex, this.#states])) await knex.destroy()
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

function openFile(filename: string): Knex {
  return createKnex({ client: 'sqlite3', connection: { filename }, useNullAsDefault: true })
}

/** A test does not outlive the loss of power. */
async function quicken(knex: Knex): Promise<void> {
  await knex.raw('PRAGMA synchronous = OFF')
  await knex.raw('PRAGMA journal_mode = WAL')
}
