import type { Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'
import type { Membership } from './room-members.js'
import { MEMBER_ROWS } from './member-rows.js'

/** What an event does to one piece of the current state. */
export interface CurrentStateChange {
  readonly type: string
  readonly stateKey: string
  /** The event that holds it now; null: nothing does. */
  readonly eventNid: number | null
  readonly prevEventNid: number | null
  /** For m.room.member. */
  readonly member?: MemberChange
}

export interface MemberChange {
  readonly membership: Membership
  readonly previous: Membership | undefined
  readonly sender: UserId
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
  readonly isLocal: boolean
  /** The room is nothing to them any more. */
  readonly isForgotten?: boolean | undefined
}

/** What one event changes, and where it stands. */
export interface StateWrite {
  readonly room: { readonly roomNid: number }
  readonly streamOrdering: number | null
  readonly stateChanges: readonly CurrentStateChange[]
}

/**
 * Brings the flat tables up to date: the current state and its history, members, memberships of local users, counts. What
 * several events of a batch do to one piece of state is written once, as it is at the end; its history in full.
 */
export async function writeCurrentState(tx: Tx, writes: readonly StateWrite[]): Promise<void> {
  const changes = writes.flatMap((write) =>
    write.stateChanges.map((change) => ({
      ...change,
      roomNid: write.room.roomNid,
      streamOrdering: write.streamOrdering ?? 0,
    })),
  )
  if (changes.length === 0) return
  const last = new Map(changes.map((change) => [keyOf(change), change]))
  const held = [...last.values()].filter((change) => change.eventNid !== null)
  const gone = [...last.values()].filter((change) => change.eventNid === null)
  const keyColumns = { room_nid: 'integer', type: 'text', state_key: 'text' } as const
  const statements: Promise<unknown>[] = [
    tx.insertMany(
      'current_state_deltas',
      changes.map((change) => ({
        stream_ordering: change.streamOrdering,
        ...keyRow(change),
        event_nid: change.eventNid,
        prev_event_nid: change.prevEventNid,
      })),
      {
        columns: {
          stream_ordering: 'integer',
          ...keyColumns,
          event_nid: 'integer',
          prev_event_nid: 'integer',
        },
      },
    ),
    ...writeMembers(tx, changes, last),
  ]
  if (held.length > 0) {
    statements.push(
      tx.insertMany(
        'current_state',
        held.map((change) => ({ ...keyRow(change), event_nid: change.eventNid })),
        {
          columns: { ...keyColumns, event_nid: 'integer' },
          conflict: { key: ['room_nid', 'type', 'state_key'], update: ['event_nid'] },
        },
      ),
    )
  }
  if (gone.length > 0) {
    statements.push(
      tx.execute(
        `DELETE FROM current_state WHERE (room_nid, type, state_key) IN
           (SELECT r.room_nid, r.type, r.state_key FROM ${tx.dialect.rowsFrom(keyColumns)} AS r)`,
        [tx.dialect.rows(gone.map(keyRow))],
      ),
    )
  }
  await Promise.all(statements)
}

type PlacedChange = CurrentStateChange & { readonly roomNid: number; readonly streamOrdering: number }

function keyOf(change: PlacedChange): string {
  return `${change.roomNid}\u0000${change.type}\u0000${change.stateKey}`
}

function keyRow(change: PlacedChange): { room_nid: number; type: string; state_key: string } {
  return { room_nid: change.roomNid, type: change.type, state_key: change.stateKey }
}

/** The flat table of members, the history of local ones, and the counts of each room. */
function writeMembers(
  tx: Tx,
  changes: readonly PlacedChange[],
  last: ReadonlyMap<string, PlacedChange>,
): Promise<unknown>[] {
  const members = changes.flatMap((change) =>
    change.type === 'm.room.member' && change.member ? [{ ...change, member: change.member }] : [],
  )
  if (members.length === 0) return []
  const final = members.filter((change) => last.get(keyOf(change))?.streamOrdering === change.streamOrdering)
  const local = members.filter((change) => change.member.isLocal)
  const counts = countChanges(members)
  const statements = [tx.insertMany('room_members', final.map(memberRow), MEMBER_ROWS)]
  if (local.length > 0) {
    statements.push(
      tx.insertMany(
        'local_memberships',
        local.map((change) => ({
          user_id: change.stateKey,
          stream_ordering: change.streamOrdering,
          room_nid: change.roomNid,
          membership: change.member.membership,
          event_nid: change.eventNid ?? 0,
        })),
        {
          columns: {
            user_id: 'text',
            stream_ordering: 'integer',
            room_nid: 'integer',
            membership: 'text',
            event_nid: 'integer',
          },
        },
      ),
    )
  }
  return counts.length > 0 ? [...statements, updateCounts(tx, counts)] : statements
}

function memberRow(change: PlacedChange & { member: MemberChange }): Record<string, string | number | null> {
  return {
    room_nid: change.roomNid,
    user_id: change.stateKey,
    membership: change.member.membership,
    event_nid: change.eventNid ?? 0,
    stream_ordering: change.streamOrdering,
    sender: change.member.sender,
    display_name: change.member.displayName ?? null,
    avatar_url: change.member.avatarUrl ?? null,
    is_local: change.member.isLocal ? 1 : 0,
    forgotten: change.member.isForgotten === true ? 1 : 0,
  }
}

interface CountChange {
  room_nid: number
  joined: number
  invited: number
  [column: string]: number
}

function countChanges(members: readonly (PlacedChange & { member: MemberChange })[]): CountChange[] {
  const counts = new Map<number, CountChange>()
  for (const { roomNid, member } of members) {
    const count = counts.get(roomNid) ?? { room_nid: roomNid, joined: 0, invited: 0 }
    count.joined += Number(member.membership === 'join') - Number(member.previous === 'join')
    count.invited += Number(member.membership === 'invite') - Number(member.previous === 'invite')
    counts.set(roomNid, count)
  }
  return [...counts.values()].filter((count) => count.joined !== 0 || count.invited !== 0)
}

function updateCounts(tx: Tx, counts: readonly CountChange[]): Promise<void> {
  const source = tx.dialect.rowsFrom({ room_nid: 'integer', joined: 'integer', invited: 'integer' })
  return tx
    .execute(
      `UPDATE rooms SET joined_members = joined_members + r.joined, invited_members = invited_members + r.invited
       FROM ${source} AS r WHERE rooms.room_nid = r.room_nid`,
      [tx.dialect.rows(counts)],
    )
    .then(() => undefined)
}
