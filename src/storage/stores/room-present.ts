import type { Query, Tx } from '../database.js'
import { MEMBER_ROWS } from './member-rows.js'

/** A piece of the current state. */
export interface PresentEntry {
  readonly type: string
  readonly stateKey: string
  readonly eventNid: number
}

/** Somebody's current membership. */
export interface PresentMember {
  readonly userId: string
  readonly membership: string
  readonly eventNid: number
  readonly streamOrdering: number
  readonly sender: string
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
  readonly isLocal: boolean
  readonly forgotten: boolean
}

/** A membership of a local user, now or in the past. */
export interface PastMembership {
  readonly userId: string
  readonly membership: string
  readonly eventNid: number
  readonly streamOrdering: number
}

const CLEARED = [
  'current_state',
  'current_state_deltas',
  'room_members',
  'local_memberships',
  'forward_extremities',
]
const KEY = { room_nid: 'integer', type: 'text', state_key: 'text' } as const

/** How rooms are now, written as a whole rather than event by event. */
export class RoomPresentStore {
  /** Takes away all that is said of how the room is now. */
  async clear(tx: Tx, roomNid: number): Promise<void> {
    await Promise.all(
      CLEARED.map((table) => tx.execute(`DELETE FROM ${table} WHERE room_nid = ?`, [roomNid])),
    )
  }

  async putEntries(tx: Tx, roomNid: number, entries: readonly PresentEntry[]): Promise<void> {
    await tx.insertMany(
      'current_state',
      entries.map((entry) => ({
        room_nid: roomNid,
        type: entry.type,
        state_key: entry.stateKey,
        event_nid: entry.eventNid,
      })),
      {
        columns: { ...KEY, event_nid: 'integer' },
        conflict: { key: ['room_nid', 'type', 'state_key'], update: ['event_nid'] },
      },
    )
  }

  /** Of memberships in rooms that this server is not in, which have no other place in the stream. */
  async putDeltas(
    tx: Tx,
    roomNid: number,
    entries: readonly (PresentEntry & { readonly streamOrdering: number })[],
  ): Promise<void> {
    await tx.insertMany(
      'current_state_deltas',
      entries.map((entry) => ({
        stream_ordering: entry.streamOrdering,
        room_nid: roomNid,
        type: entry.type,
        state_key: entry.stateKey,
        event_nid: entry.eventNid,
        prev_event_nid: null,
      })),
      {
        columns: { stream_ordering: 'integer', ...KEY, event_nid: 'integer', prev_event_nid: 'integer' },
        conflict: 'ignore',
      },
    )
  }

  async putMembers(tx: Tx, roomNid: number, members: readonly PresentMember[]): Promise<void> {
    await tx.insertMany(
      'room_members',
      members.map((member) => ({
        room_nid: roomNid,
        user_id: member.userId,
        membership: member.membership,
        event_nid: member.eventNid,
        stream_ordering: member.streamOrdering,
        sender: member.sender,
        display_name: member.displayName ?? null,
        avatar_url: member.avatarUrl ?? null,
        is_local: member.isLocal ? 1 : 0,
        forgotten: member.forgotten ? 1 : 0,
      })),
      MEMBER_ROWS,
    )
  }

  async putLocalMemberships(tx: Tx, roomNid: number, rows: readonly PastMembership[]): Promise<void> {
    await tx.insertMany(
      'local_memberships',
      rows.map((row) => ({
        user_id: row.userId,
        stream_ordering: row.streamOrdering,
        room_nid: roomNid,
        membership: row.membership,
        event_nid: row.eventNid,
      })),
      {
        columns: {
          user_id: 'text',
          stream_ordering: 'integer',
          room_nid: 'integer',
          membership: 'text',
          event_nid: 'integer',
        },
        conflict: 'ignore',
      },
    )
  }

  async putExtremities(tx: Tx, roomNid: number, eventNids: readonly number[]): Promise<void> {
    await tx.insertMany(
      'forward_extremities',
      eventNids.map((eventNid) => ({ room_nid: roomNid, event_nid: eventNid })),
      { columns: { room_nid: 'integer', event_nid: 'integer' }, conflict: 'ignore' },
    )
  }

  /** The snapshot after the newest of the room's ends. */
  async lastState(q: Query, roomNid: number): Promise<number | undefined> {
    const row = await q.first<{ state_after: number | null }>(
      `SELECT e.state_after FROM forward_extremities f JOIN events e ON e.event_nid = f.event_nid
       WHERE f.room_nid = ? ORDER BY e.stream_ordering DESC LIMIT 1`,
      [roomNid],
    )
    return row?.state_after ?? undefined
  }

  /** Counts who has joined and who is invited, from `room_members`. */
  async countMembers(tx: Tx, roomNid: number): Promise<void> {
    await tx.execute(
      `UPDATE rooms SET
         joined_members = (SELECT COUNT(*) FROM room_members m
                           WHERE m.room_nid = rooms.room_nid AND m.membership = 'join'),
         invited_members = (SELECT COUNT(*) FROM room_members m
                            WHERE m.room_nid = rooms.room_nid AND m.membership = 'invite')
       WHERE room_nid = ?`,
      [roomNid],
    )
  }
}
