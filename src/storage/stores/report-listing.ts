import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import type { Query, SqlValue, Tx } from '../database.js'

/** Which reports are meant: all conditions hold. */
export interface ReportSelection {
  /** Part of the ID of whoever reports. */
  readonly reporter?: string | undefined
  /** Part of the room's ID. */
  readonly roomId?: string | undefined
  /** The sender of the event. */
  readonly sender?: string | undefined
}

export interface ReportPage {
  readonly from: number
  readonly limit: number
  readonly newestFirst: boolean
}

/** An event that somebody has reported. */
export interface ListedEventReport {
  readonly id: number
  readonly receivedTs: number
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly reporter: UserId
  readonly reason: string | undefined
  readonly score: number | undefined
  /** Of the event; undefined where it is not held any more. */
  readonly sender: string | undefined
}

interface Row {
  id: number
  received_ts: number
  room_id: string
  event_id: string
  reporter: string
  reason: string | null
  score: number | null
  sender: string | null
}

const FROM = 'FROM event_reports r LEFT JOIN events e ON e.event_id = r.event_id'
const COLUMNS = 'r.id, r.received_ts, r.room_id, r.event_id, r.reporter, r.reason, r.score, e.sender'

/** A user whom somebody has reported. */
export interface ListedUserReport {
  readonly id: number
  readonly receivedTs: number
  readonly target: UserId
  readonly reporter: UserId
  readonly reason: string
}

/** What users have reported, for administrators. */
export class ReportListingStore {
  /** A page of reports, and how many there are in all. */
  async list(
    q: Query,
    selection: ReportSelection,
    page: ReportPage,
  ): Promise<{ reports: ListedEventReport[]; total: number }> {
    const { sql, params } = condition(selection)
    const direction = page.newestFirst ? 'DESC' : 'ASC'
    const rows = await q.all<Row>(
      `SELECT ${COLUMNS} ${FROM} ${sql} ORDER BY r.received_ts ${direction}, r.id ${direction} LIMIT ? OFFSET ?`,
      [...params, page.limit, page.from],
    )
    const count = await q.first<{ n: number }>(`SELECT COUNT(*) AS n ${FROM} ${sql}`, params)
    return { reports: rows.map(toReport), total: count?.n ?? 0 }
  }

  /** By primary key. */
  async get(q: Query, id: number): Promise<ListedEventReport | undefined> {
    const row = await q.first<Row>(`SELECT ${COLUMNS} ${FROM} WHERE r.id = ?`, [id])
    return row && toReport(row)
  }

  /** A page of reports of users, and how many there are in all. `target`, `reporter`: part of their IDs. */
  async listOfUsers(
    q: Query,
    selection: { readonly target?: string | undefined; readonly reporter?: string | undefined },
    page: ReportPage,
  ): Promise<{ reports: ListedUserReport[]; total: number }> {
    const { sql, params } = containing([
      ['reporter', selection.reporter],
      ['user_id', selection.target],
    ])
    const direction = page.newestFirst ? 'DESC' : 'ASC'
    const rows = await q.all<UserReportRow>(
      `SELECT * FROM user_reports ${sql} ORDER BY received_ts ${direction}, id ${direction} LIMIT ? OFFSET ?`,
      [...params, page.limit, page.from],
    )
    const count = await q.first<{ n: number }>(`SELECT COUNT(*) AS n FROM user_reports ${sql}`, params)
    return { reports: rows.map(toUserReport), total: count?.n ?? 0 }
  }

  async getOfUser(q: Query, id: number): Promise<ListedUserReport | undefined> {
    const row = await q.first<UserReportRow>('SELECT * FROM user_reports WHERE id = ?', [id])
    return row && toUserReport(row)
  }

  /** False when there is no such report. */
  async deleteOfUser(tx: Tx, id: number): Promise<boolean> {
    return (await tx.execute('DELETE FROM user_reports WHERE id = ?', [id])) === 1
  }

  /** False when there is no such report. */
  async delete(tx: Tx, id: number): Promise<boolean> {
    return (await tx.execute('DELETE FROM event_reports WHERE id = ?', [id])) === 1
  }
}

interface UserReportRow {
  id: number
  received_ts: number
  user_id: string
  reporter: string
  reason: string
}

function toUserReport(row: UserReportRow): ListedUserReport {
  return {
    id: row.id,
    receivedTs: row.received_ts,
    target: row.user_id as UserId,
    reporter: row.reporter as UserId,
    reason: row.reason,
  }
}

function containing(columns: readonly (readonly [column: string, part: string | undefined])[]): {
  sql: string
  params: string[]
} {
  const given = columns.flatMap(([column, part]) => (part === undefined ? [] : [{ column, part }]))
  const conditions = given.map(({ column }) => `${column} LIKE ? ESCAPE '!'`)
  return {
    sql: given.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`,
    params: given.map(({ part }) => `%${part.replace(/[!%_]/g, '!$&')}%`),
  }
}

function condition({ reporter, roomId, sender }: ReportSelection): { sql: string; params: SqlValue[] } {
  const parts: string[] = []
  const params: SqlValue[] = []
  for (const [column, part] of [
    ['r.reporter', reporter],
    ['r.room_id', roomId],
  ] as const) {
    if (part === undefined) continue
    parts.push(`${column} LIKE ? ESCAPE '!'`)
    params.push(`%${part.replace(/[!%_]/g, '!$&')}%`)
  }
  if (sender !== undefined) {
    parts.push('e.sender = ?')
    params.push(sender)
  }
  return { sql: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, params }
}

function toReport(row: Row): ListedEventReport {
  return {
    id: row.id,
    receivedTs: row.received_ts,
    roomId: row.room_id as RoomId,
    eventId: row.event_id as EventId,
    reporter: row.reporter as UserId,
    reason: row.reason ?? undefined,
    score: row.score ?? undefined,
    sender: row.sender ?? undefined,
  }
}
