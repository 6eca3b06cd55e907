import { randomBytes } from 'node:crypto'
import type { PduJson } from '../src/protocol/event.js'
import { essentialText, hashEventId } from '../src/protocol/hashes.js'
import { getRoomVersionRules } from '../src/protocol/room-versions.js'
import { closeDriver, openDriver } from '../src/storage/porting/sqlite-side.js'
import { SqliteConnection } from '../src/storage/sqlite-connection.js'

const ROOMS = 200
const USERS = 2_000
const VERSION = '10'
/** Every so many events of a room, one is of the state. */
const STATE_EVERY = 20
/** So many state groups build on each other before one is written as a whole. */
const MAX_HOPS = 100
const ROWS_AT_ONCE = 2_000

type Value = string | number | null

/** What is filled: a database with all tables that a Synapse has just made. */
export interface EmptySynapse {
  readonly path: string
  readonly serverName: string
}

/**
 * Fills the SQLite database of a Synapse with so many events, of the shape and size that a server's has: rooms with their
 * histories and state groups, people with sessions and keys. Events are named by their hashes, and nothing is signed:
 * good for what carries rows from one database to another, but not for a server to run on. Gives the number of rows.
 */
export async function fillSynapse({ path, serverName }: EmptySynapse, events: number): Promise<number> {
  const driver = await openDriver(path, 'write')
  const connection = new SqliteConnection(driver)
  const sql = async (text: string): Promise<void> => {
    await connection.run({ sql: text, params: [], wants: 'rows' })
  }
  try {
    for (const pragma of ['journal_mode = WAL', 'synchronous = OFF', 'cache_size = -262144']) {
      await sql(`PRAGMA ${pragma}`)
    }
    const rows = new RowWriter(connection)
    await sql('BEGIN')
    for (let n = 0; n < USERS; n++) await addUser(rows, { n, serverName })
    const rooms = Array.from({ length: ROOMS }, (_, n) => new GeneratedRoom(rows, { n, serverName }))
    for (let position = 2; position < events + 2; position++) {
      await rooms[position % ROOMS]!.addNext(position)
      if (position % 20_000 !== 0) continue
      await rows.flush()
      await sql('COMMIT')
      await sql('BEGIN')
    }
    for (const room of rooms) await room.settle()
    await rows.flush()
    await sql('COMMIT')
    await sql('PRAGMA wal_checkpoint(TRUNCATE)')
    return rows.count
  } finally {
    connection.finalize()
    await closeDriver(driver)
  }
}

/** Inserts rows in bulk, those of a table after those of tables that it refers to. */
class RowWriter {
  readonly #connection: SqliteConnection
  readonly #waiting = new Map<string, { columns: readonly string[]; rows: Value[][] }>()
  count = 0

  constructor(connection: SqliteConnection) {
    this.#connection = connection
  }

  async add(table: string, row: Readonly<Record<string, Value>>): Promise<void> {
    let waiting = this.#waiting.get(table)
    if (waiting === undefined) this.#waiting.set(table, (waiting = { columns: Object.keys(row), rows: [] }))
    waiting.rows.push(Object.values(row))
    this.count++
    if (waiting.rows.length >= ROWS_AT_ONCE) await this.flush()
  }

  async flush(): Promise<void> {
    for (const [table, { columns, rows }] of this.#waiting) {
      const values = columns.map((_, index) => `value ->> ${index}`).join(', ')
      const sql = `INSERT INTO ${table} (${columns.map((name) => `"${name}"`).join(', ')}) SELECT ${values} FROM json_each(?)`
      await this.#connection.run({ sql, params: [JSON.stringify(rows)], wants: 'rows' })
      rows.length = 0
    }
  }
}

function localUser(n: number, serverName: string): string {
  return `@user${n % USERS}:${serverName}`
}

async function addUser(rows: RowWriter, { n, serverName }: { n: number; serverName: string }): Promise<void> {
  const name = localUser(n, serverName)
  await rows.add('users', {
    name,
    password_hash: `$2b$12$${randomText(39)}`,
    creation_ts: 1_700_000_000,
    approved: 1,
    shadow_banned: 0,
  })
  await rows.add('profiles', { user_id: `user${n}`, displayname: `User ${n}`, full_user_id: name })
  await rows.add('devices', { user_id: name, device_id: 'PHONE', display_name: 'Phone', hidden: 0 })
  await rows.add('access_tokens', {
    id: n + 10,
    user_id: name,
    device_id: 'PHONE',
    token: `syt_${randomText(40)}`,
    used: 1,
  })
  for (let key = 0; key < 20; key++) {
    await rows.add('e2e_one_time_keys_json', {
      user_id: name,
      device_id: 'PHONE',
      algorithm: 'signed_curve25519',
      key_id: `AAAA${key}`,
      ts_added_ms: 1_700_000_000_000,
      key_json: `{"key":"${randomText(43)}","signatures":{}}`,
    })
  }
}

interface GeneratedEvent {
  readonly id: string
  readonly position: number
  readonly type: string
  readonly stateKey: string
}

interface Draft {
  readonly type: string
  readonly sender: string
  readonly stateKey?: string
  readonly content: Readonly<Record<string, unknown>>
}

/** A room whose graph has no branches. */
class GeneratedRoom {
  readonly #rows: RowWriter
  readonly #serverName: string
  readonly #n: number
  readonly #roomId: string
  readonly #state = new Map<string, GeneratedEvent>()
  readonly #first: Draft[]
  #events = 0
  #members = 0
  #last: GeneratedEvent | undefined
  #group = 0
  #hops = 0

  constructor(rows: RowWriter, { n, serverName }: { n: number; serverName: string }) {
    this.#rows = rows
    this.#n = n
    this.#serverName = serverName
    this.#roomId = `!room${n}:${serverName}`
    const sender = this.#user(0)
    const ofState = (type: string, content: Draft['content']): Draft => ({
      type,
      sender,
      stateKey: '',
      content,
    })
    this.#first = [
      ofState('m.room.create', { room_version: VERSION, creator: sender }),
      this.#join(sender),
      ofState('m.room.power_levels', { users: { [sender]: 100 } }),
      ofState('m.room.join_rules', { join_rule: 'public' }),
      ofState('m.room.history_visibility', { history_visibility: 'shared' }),
    ]
  }

  /** The next of its events: how the room begins, then messages and people who join. */
  async addNext(position: number): Promise<void> {
    const index = this.#events++
    if (index === 0) {
      await this.#rows.add('rooms', {
        room_id: this.#roomId,
        is_public: 0,
        creator: this.#user(0),
        room_version: VERSION,
        has_auth_chain_index: 1,
      })
    }
    await this.#add(this.#first[index] ?? this.#draft(index), position)
  }

  /** Writes how the room is now. */
  async settle(): Promise<void> {
    const room_id = this.#roomId
    for (const { id, position, type, stateKey } of this.#state.values()) {
      const membership = type === 'm.room.member' ? 'join' : null
      const row = { event_id: id, room_id, membership, event_stream_ordering: position }
      await this.#rows.add('current_state_events', { ...row, type, state_key: stateKey })
      if (membership !== null) await this.#rows.add('local_current_membership', { ...row, user_id: stateKey })
    }
    if (this.#last) await this.#rows.add('event_forward_extremities', { event_id: this.#last.id, room_id })
  }

  #user(n: number): string {
    return localUser(this.#n * 7 + n, this.#serverName)
  }

  #join(sender: string): Draft {
    const content = { membership: 'join', displayname: sender.slice(1, sender.indexOf(':')) }
    return { type: 'm.room.member', sender, stateKey: sender, content }
  }

  #draft(index: number): Draft {
    if (index % STATE_EVERY === 0) return this.#join(this.#user(++this.#members))
    const body = `the quick brown fox ${randomText(8)} jumps over the lazy dog ${index}, then "sleeps"\n`
    const sender = this.#user((index * 7) % (this.#members + 1))
    return { type: 'm.room.message', sender, content: { body, msgtype: 'm.text' } }
  }

  async #add(draft: Draft, position: number): Promise<void> {
    const before = this.#last
    const auth = this.#authEvents(draft)
    const json = this.#json(draft, auth)
    const event = {
      id: hashEventId(RULES, essentialText(RULES, json as unknown as PduJson)),
      position,
      type: draft.type,
      stateKey: draft.stateKey ?? '',
    }
    this.#last = event
    await this.#addRows(event, { draft, json })
    const ofRoom = { event_id: event.id, room_id: this.#roomId }
    for (const auth_id of auth) await this.#rows.add('event_auth', { ...ofRoom, auth_id })
    if (before)
      await this.#rows.add('event_edges', { event_id: event.id, prev_event_id: before.id, is_state: 0 })
    if (draft.stateKey !== undefined) await this.#addState(event)
    await this.#rows.add('event_to_state_groups', { event_id: event.id, state_group: this.#group })
    if (draft.type === 'm.room.message') await this.#addWords(event, draft)
  }

  #authEvents({ type, sender }: Draft): string[] {
    if (type === 'm.room.create') return []
    const keys = ['m.room.create ', 'm.room.power_levels ', `m.room.member ${sender}`]
    if (type === 'm.room.member') keys.push('m.room.join_rules ')
    return keys.flatMap((key) => this.#state.get(key)?.id ?? [])
  }

  #json({ type, sender, stateKey, content }: Draft, auth: readonly string[]): Record<string, unknown> {
    return {
      auth_events: auth,
      content,
      depth: this.#events,
      hashes: { sha256: randomText(43) },
      origin_server_ts: 1_700_000_000_000 + this.#events * 1000,
      prev_events: this.#last ? [this.#last.id] : [],
      room_id: this.#roomId,
      sender,
      signatures: { [this.#serverName]: { 'ed25519:a': randomText(86) } },
      ...(stateKey !== undefined && { state_key: stateKey }),
      type,
      unsigned: { age_ts: 1_700_000_000_000 },
    }
  }

  async #addRows(
    { id, position, type }: GeneratedEvent,
    { draft, json }: { draft: Draft; json: Record<string, unknown> },
  ): Promise<void> {
    const ofRoom = { event_id: id, room_id: this.#roomId }
    await this.#rows.add('events', {
      ...ofRoom,
      stream_ordering: position,
      topological_ordering: this.#events,
      type,
      processed: 1,
      outlier: 0,
      depth: this.#events,
      origin_server_ts: json['origin_server_ts'] as number,
      received_ts: json['origin_server_ts'] as number,
      sender: draft.sender,
      contains_url: 0,
      instance_name: 'master',
      state_key: draft.stateKey ?? null,
    })
    await this.#rows.add('event_json', {
      ...ofRoom,
      internal_metadata: `{"stream_ordering":${position}}`,
      json: JSON.stringify(json),
      format_version: 3,
    })
  }

  async #addState(event: GeneratedEvent): Promise<void> {
    const { id, position, type, stateKey } = event
    const room_id = this.#roomId
    this.#state.set(`${type} ${stateKey}`, event)
    const before = this.#group
    // As many as there are positions, so that each has a number of its own.
    this.#group = position
    const isWhole = before === 0 || this.#hops >= MAX_HOPS
    this.#hops = isWhole ? 0 : this.#hops + 1
    await this.#rows.add('state_groups', { id: this.#group, room_id, event_id: id })
    if (!isWhole) {
      await this.#rows.add('state_group_edges', { state_group: this.#group, prev_state_group: before })
    }
    for (const held of isWhole ? this.#state.values() : [event]) {
      await this.#rows.add('state_groups_state', {
        state_group: this.#group,
        room_id,
        type: held.type,
        state_key: held.stateKey,
        event_id: held.id,
      })
    }
    await this.#rows.add('state_events', { event_id: id, room_id, type, state_key: stateKey })
    await this.#rows.add('current_state_delta_stream', {
      stream_id: position,
      room_id,
      type,
      state_key: stateKey,
      event_id: id,
      instance_name: 'master',
    })
    if (type !== 'm.room.member') return
    await this.#rows.add('room_memberships', {
      event_id: id,
      user_id: stateKey,
      sender: stateKey,
      room_id,
      membership: 'join',
      forgotten: 0,
      display_name: stateKey.slice(1, stateKey.indexOf(':')),
      event_stream_ordering: position,
    })
  }

  async #addWords({ id }: GeneratedEvent, { sender, content }: Draft): Promise<void> {
    await this.#rows.add('event_search', {
      event_id: id,
      room_id: this.#roomId,
      sender,
      key: 'content.body',
      value: String(content['body']),
    })
  }
}

const RULES = getRoomVersionRules(VERSION)!

function randomText(length: number): string {
  return randomBytes(length).toString('base64url').slice(0, length)
}
