import type { Query } from '../database.js'

/** Types of state that name no files, or whose files are asked for elsewhere: nobody need read them. */
const STATE_WITHOUT_FILES = [
  'm.room.member',
  'm.room.create',
  'm.room.power_levels',
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.guest_access',
  'm.room.name',
  'm.room.topic',
  'm.room.encryption',
  'm.space.child',
  'm.space.parent',
]
const NOT_THESE = `s.type NOT IN (${STATE_WITHOUT_FILES.map((type) => `'${type}'`).join(', ')})`
const NAMES_FILES = `'%mxc:%'`

/** Finds where files are used, in what the server can read. */
export class MediaUsesStore {
  /** The pictures of people: in profiles, memberships and the directory of users. */
  async avatars(q: Query): Promise<string[]> {
    const rows = await q.all<{ uri: string }>(
      `SELECT avatar_url AS uri FROM profiles WHERE avatar_url IS NOT NULL
       UNION SELECT avatar_url FROM room_members WHERE avatar_url IS NOT NULL
       UNION SELECT avatar_url FROM directory_users WHERE avatar_url IS NOT NULL`,
    )
    return rows.map(({ uri }) => uri)
  }

  /** JSON texts of users that name files: further fields of profiles, and account data. */
  async ofUsers(q: Query): Promise<string[]> {
    const rows = await q.all<{ json: string }>(
      `SELECT fields AS json FROM profiles WHERE fields LIKE ${NAMES_FILES}
       UNION ALL SELECT content AS json FROM account_data WHERE content LIKE ${NAMES_FILES}`,
    )
    return rows.map(({ json }) => json)
  }

  /** The last number of a room. */
  async lastRoom(q: Query): Promise<number> {
    const row = await q.first<{ last: number | null }>('SELECT MAX(room_nid) AS last FROM rooms')
    return row?.last ?? 0
  }

  /**
   * Events of the current state that name files, as JSON: those of the rooms with numbers after the first and up to the
   * last. Not memberships. Primary key of current_state.
   */
  async ofRooms(q: Query, rooms: { after: number; upTo: number }): Promise<string[]> {
    const rows = await q.all<{ json: string }>(
      `SELECT e.json FROM current_state s JOIN events e ON e.event_nid = s.event_nid
       WHERE s.room_nid > ? AND s.room_nid <= ? AND ${NOT_THESE} AND e.redacted_by IS NULL
         AND e.json LIKE ${NAMES_FILES}`,
      [rooms.after, rooms.upTo],
    )
    return rows.map(({ json }) => json)
  }

  /**
   * Messages with files, as JSON, after an event: those that have been redacted, or all others. Primary key of events.
   */
  async ofMessages(
    q: Query,
    page: { isRedacted: boolean; after: number; limit: number },
  ): Promise<{ eventNid: number; json: string }[]> {
    const rows = await q.all<{ event_nid: number; json: string }>(
      `SELECT event_nid, json FROM events
       WHERE event_nid > ? AND contains_url = 1 AND redacted_by IS ${page.isRedacted ? 'NOT NULL' : 'NULL'}
       ORDER BY event_nid LIMIT ?`,
      [page.after, page.limit],
    )
    return rows.map((row) => ({ eventNid: row.event_nid, json: row.json }))
  }

  /** Users who wanted to be forgotten. Index users_erased. */
  async erasedUsers(q: Query): Promise<string[]> {
    const rows = await q.all<{ user_id: string }>('SELECT user_id FROM users WHERE is_erased = 1')
    return rows.map((row) => row.user_id)
  }
}
