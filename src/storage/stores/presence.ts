import type { Query, Tx } from '../database.js'
import type { SequenceOptions } from '../streams/sequences.js'
import type { RoomId, UserId } from '../../protocol/ids.js'

export type PresenceState = 'online' | 'unavailable' | 'offline'

export interface PresenceRecord {
  readonly userId: UserId
  readonly state: PresenceState
  readonly statusMsg: string | undefined
  /** 0 when the user never was active. */
  readonly lastActiveTs: number
  readonly currentlyActive: boolean
}

interface Row {
  user_id: string
  state: string
  status_msg: string | null
  last_active_ts: number
  currently_active: number
}

export const PRESENCE_STREAM: SequenceOptions = {
  sequence: 'presence_stream_seq',
  table: 'presence',
  column: 'stream_id',
}

const COLUMNS = 'user_id, state, status_msg, last_active_ts, currently_active'

/** The presence of users as others were last told. */
export class PresenceStore {
  readonly #excludedRooms: ReadonlySet<RoomId>

  /** @param excludedRooms Rooms in which people are not interested in each other's presence. */
  constructor(excludedRooms: ReadonlySet<RoomId> = new Set()) {
    this.#excludedRooms = excludedRooms
  }

  /** Whether there are rooms that make nobody interested in anybody's presence. */
  get hasExcludedRooms(): boolean {
    return this.#excludedRooms.size > 0
  }

  /** By primary key. */
  async getMany(q: Query, userIds: readonly UserId[]): Promise<PresenceRecord[]> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM presence WHERE ${q.dialect.anyOf('user_id', 'text')}`,
      [q.dialect.list(userIds)],
    )
    return rows.map(toRecord)
  }

  /** Everybody who is not offline or has a status message. Scans the table: for the start of the server. */
  async listForStart(q: Query): Promise<PresenceRecord[]> {
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} FROM presence WHERE state <> 'offline' OR status_msg IS NOT NULL`,
    )
    return rows.map(toRecord)
  }

  /** The rooms that any of these users is joined to, but for those that are excluded. Index room_members_user. */
  async listRooms(q: Query, userIds: readonly UserId[]): Promise<RoomId[]> {
    const rows = await q.all<{ room_id: string }>(
      `SELECT r.room_id FROM rooms r WHERE r.room_nid IN (
         SELECT m.room_nid FROM room_members m
         WHERE ${q.dialect.anyOf('m.user_id', 'text')} AND m.membership = 'join')`,
      [q.dialect.list(userIds)],
    )
    return rows.map((row) => row.room_id as RoomId).filter((roomId) => !this.#excludedRooms.has(roomId))
  }

  /**
   * Who of these is joined to a room that the user is joined to and that is not excluded. Index room_members_user, then by
   * primary key.
   */
  async listSharing(q: Query, userId: UserId, others: readonly UserId[]): Promise<Set<UserId>> {
    if (others.length === 0) return new Set()
    const rows = await q.all<{ user_id: string }>(
      `SELECT DISTINCT o.user_id FROM ${q.dialect.rowsFrom({ user_id: 'text' })} AS w
         CROSS JOIN room_members o
       WHERE o.user_id = w.user_id AND o.membership = 'join'${this.#counting(q)} AND EXISTS (
         SELECT 1 FROM room_members m
         WHERE m.room_nid = o.room_nid AND m.user_id = ? AND m.membership = 'join')`,
      [q.dialect.rows(others.map((other) => ({ user_id: other }))), ...this.#excludedOf(q), userId],
    )
    return new Set(rows.map((row) => row.user_id as UserId))
  }

  /** Everybody joined to a room that the user is joined to and that is not excluded, up to a number; the user, too. */
  async listAllSharing(q: Query, userId: UserId, limit: number): Promise<UserId[]> {
    const rows = await q.all<{ user_id: string }>(
      `SELECT DISTINCT o.user_id FROM room_members m JOIN room_members o ON o.room_nid = m.room_nid
       WHERE m.user_id = ? AND m.membership = 'join' AND o.membership = 'join'${this.#counting(q)} LIMIT ?`,
      [userId, ...this.#excludedOf(q), limit],
    )
    return rows.map((row) => row.user_id as UserId)
  }

  /** `streamId`: the position of the change, different for each. */
  async upsert(tx: Tx, records: readonly (PresenceRecord & { readonly streamId: number })[]): Promise<void> {
    await tx.insertMany(
      'presence',
      records.map((record) => ({
        user_id: record.userId,
        state: record.state,
        status_msg: record.statusMsg ?? null,
        last_active_ts: record.lastActiveTs,
        currently_active: record.currentlyActive ? 1 : 0,
        stream_id: record.streamId,
      })),
      {
        columns: {
          user_id: 'text',
          state: 'text',
          status_msg: 'text',
          last_active_ts: 'integer',
          currently_active: 'integer',
          stream_id: 'integer',
        },
        conflict: {
          key: ['user_id'],
          update: ['state', 'status_msg', 'last_active_ts', 'currently_active', 'stream_id'],
        },
      },
    )
  }

  /** That the room of `o` is not excluded; with `#excludedOf` as its parameters. */
  #counting({ dialect }: Query): string {
    return this.hasExcludedRooms
      ? ` AND o.room_nid NOT IN (SELECT r.room_nid FROM rooms r WHERE ${dialect.anyOf('r.room_id', 'text')})`
      : ''
  }

  #excludedOf({ dialect }: Query) {
    return this.hasExcludedRooms ? [dialect.list([...this.#excludedRooms])] : []
  }
}

function toRecord(row: Row): PresenceRecord {
  return {
    userId: row.user_id as UserId,
    state: row.state as PresenceState,
    statusMsg: row.status_msg ?? undefined,
    lastActiveTs: row.last_active_ts,
    currentlyActive: row.currently_active === 1,
  }
}
