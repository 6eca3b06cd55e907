import type { Query } from '../database.js'
import type { CurrentStateEntry } from './current-state.js'

interface Row {
  room_nid: number
  type: string
  state_key: string
  event_nid: number
}

const MEMBER = 'm.room.member'

/** The current state of rooms apart from their members, and the members that somebody asks for. */
export class LazyStateStore {
  /** Everything but members: the range of members, however large, is stepped over. By primary key prefix. */
  async listWithoutMembers(q: Query, roomNids: readonly number[]): Promise<CurrentStateEntry[]> {
    if (roomNids.length === 0) return []
    const part = (operator: '<' | '>'): string =>
      `SELECT s.room_nid, s.type, s.state_key, s.event_nid
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer' })} AS r CROSS JOIN current_state s
       WHERE s.room_nid = r.room_nid AND s.type ${operator} '${MEMBER}'`
    const rooms = q.dialect.rows(roomNids.map((roomNid) => ({ room_nid: roomNid })))
    const rows = await q.all<Row>(`${part('<')} UNION ALL ${part('>')}`, [rooms, rooms])
    return rows.map(toEntry)
  }

  /** The member events of people in rooms. By primary key. */
  async listMembers(
    q: Query,
    members: readonly { readonly roomNid: number; readonly userId: string }[],
  ): Promise<CurrentStateEntry[]> {
    if (members.length === 0) return []
    const rows = await q.all<Row>(
      `SELECT s.room_nid, s.type, s.state_key, s.event_nid
       FROM ${q.dialect.rowsFrom({ room_nid: 'integer', user_id: 'text' })} AS r CROSS JOIN current_state s
       WHERE s.room_nid = r.room_nid AND s.type = '${MEMBER}' AND s.state_key = r.user_id`,
      [q.dialect.rows(members.map(({ roomNid, userId }) => ({ room_nid: roomNid, user_id: userId })))],
    )
    return rows.map(toEntry)
  }
}

function toEntry(row: Row): CurrentStateEntry {
  return { roomNid: row.room_nid, type: row.type, stateKey: row.state_key, eventNid: row.event_nid }
}
