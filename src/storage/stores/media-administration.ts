import type { Query, SqlValue, Tx } from '../database.js'
import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import { toRecord, type MediaId, type MediaRecord, type MediaRow } from './media.js'

/** Which files are meant. */
export interface MediaSelection {
  /** Files of this server alone, or of all others alone. */
  readonly origin: 'local' | 'remote'
  readonly serverName: ServerName
  /** Not asked for since then. */
  readonly accessedBefore: number
  /** In bytes. */
  readonly largerThan?: number | undefined
  /** Not those in quarantine, which are kept to be known again, nor those that are protected. */
  readonly sparesMarked: boolean
}

/** A file, and when it was last asked for. */
export type MediaAge = MediaId & { readonly lastAccessTs: number }

/** What lists of files may be sorted by. */
export type MediaOrder =
  | 'mediaId'
  | 'uploadName'
  | 'createdTs'
  | 'lastAccessTs'
  | 'length'
  | 'contentType'
  | 'quarantinedBy'
  | 'isProtected'

/** How much somebody, or some server, has here. */
export interface MediaUse {
  readonly name: string
  readonly files: number
  readonly bytes: number
}

export interface MediaUseOptions {
  readonly serverName: ServerName
  readonly limit: number
}

const ORDER_COLUMNS: Readonly<Record<MediaOrder, string>> = {
  mediaId: 'media_id',
  uploadName: 'upload_name',
  createdTs: 'created_ts',
  lastAccessTs: 'last_access_ts',
  length: 'length',
  contentType: 'content_type',
  quarantinedBy: 'quarantined_by',
  isProtected: 'is_protected',
}

interface IdRow {
  server_name: string
  media_id: string
}

/** Looks after files as a whole: for administrators and chores. */
export class MediaAdministrationStore {
  /**
   * Some of the files that are meant, after one of them: those first that were not asked for the longest time. Index
   * media_access.
   */
  async select(
    q: Query,
    selection: MediaSelection,
    page: { after: MediaAge | undefined; limit: number },
  ): Promise<MediaAge[]> {
    const { origin, serverName, accessedBefore, largerThan, sparesMarked } = selection
    const { after, limit } = page
    const conditions = [
      'last_access_ts < ?',
      'file_key IS NOT NULL',
      `server_name ${origin === 'local' ? '=' : '<>'} ?`,
    ]
    const params: SqlValue[] = [accessedBefore, serverName]
    if (largerThan !== undefined) {
      conditions.push('length > ?')
      params.push(largerThan)
    }
    if (sparesMarked) conditions.push('quarantined_by IS NULL', 'is_protected = 0')
    if (after !== undefined) {
      conditions.push('(last_access_ts, server_name, media_id) > (?, ?, ?)')
      params.push(after.lastAccessTs, after.serverName, after.mediaId)
    }
    const rows = await q.all<IdRow & { last_access_ts: number }>(
      `SELECT server_name, media_id, last_access_ts FROM media WHERE ${conditions.join(' AND ')}
       ORDER BY last_access_ts, server_name, media_id LIMIT ?`,
      [...params, limit],
    )
    return rows.map((row) => ({ ...toId(row), lastAccessTs: row.last_access_ts }))
  }

  /** Pictures of previews that were fetched before a time. */
  async selectPreviewPictures(q: Query, createdBefore: number, limit: number): Promise<MediaId[]> {
    const rows = await q.all<IdRow>(
      `SELECT server_name, media_id FROM media
       WHERE preview_url IS NOT NULL AND created_ts < ? AND quarantined_by IS NULL LIMIT ?`,
      [createdBefore, limit],
    )
    return rows.map(toId)
  }

  /** By primary key. */
  async get(q: Query, { serverName, mediaId }: MediaId): Promise<MediaRecord | undefined> {
    const row = await q.first<MediaRow>('SELECT * FROM media WHERE server_name = ? AND media_id = ?', [
      serverName,
      mediaId,
    ])
    return row && toRecord(row)
  }

  /** Those of the files that are here, or have been announced. Primary key. */
  async present(q: Query, ids: readonly MediaId[]): Promise<MediaId[]> {
    const source = q.dialect.rowsFrom({ server_name: 'text', media_id: 'text' })
    const rows = ids.map(({ serverName, mediaId }) => ({ server_name: serverName, media_id: mediaId }))
    const found = await q.all<IdRow>(
      `SELECT m.server_name, m.media_id FROM ${source} AS r
       JOIN media m ON m.server_name = r.server_name AND m.media_id = r.media_id`,
      [q.dialect.rows(rows)],
    )
    return found.map(toId)
  }

  /** The files that a user has uploaded or announced, after one by its ID. Index media_user. */
  async idsOfUser(q: Query, userId: UserId, page: { after: string; limit: number }): Promise<MediaId[]> {
    const rows = await q.all<IdRow>(
      `SELECT server_name, media_id FROM media WHERE user_id = ? AND media_id > ? ORDER BY media_id LIMIT ?`,
      [userId, page.after, page.limit],
    )
    return rows.map(toId)
  }

  /** The files that a user has uploaded, and how many there are. Index media_user. */
  async listOfUser(
    q: Query,
    userId: UserId,
    page: { from: number; limit: number; orderBy: MediaOrder; isDescending: boolean },
  ): Promise<{ files: MediaRecord[]; total: number }> {
    const column = ORDER_COLUMNS[page.orderBy]
    const direction = page.isDescending ? 'DESC' : 'ASC'
    const rows = await q.all<MediaRow>(
      `SELECT * FROM media WHERE user_id = ? ORDER BY ${column} ${direction}, media_id LIMIT ? OFFSET ?`,
      [userId, page.limit, page.from],
    )
    const count = await q.first<{ n: number }>('SELECT COUNT(*) AS n FROM media WHERE user_id = ?', [userId])
    return { files: rows.map(toRecord), total: count?.n ?? 0 }
  }

  /** What users have said with a file in a room, as JSON of events, after an event. Primary key of events. */
  async listContents(
    q: Query,
    roomId: RoomId,
    page: { after: number; limit: number },
  ): Promise<{ eventNid: number; json: string }[]> {
    const rows = await q.all<{ event_nid: number; json: string }>(
      `SELECT e.event_nid, e.json FROM events e JOIN rooms r ON r.room_nid = e.room_nid
       WHERE r.room_id = ? AND e.contains_url = 1 AND e.event_nid > ? ORDER BY e.event_nid LIMIT ?`,
      [roomId, page.after, page.limit],
    )
    return rows.map((row) => ({ eventNid: row.event_nid, json: row.json }))
  }

  /**
   * Puts files into quarantine, or takes them out of it: these, and all with the same content. Protected ones are not
   * put into it. Gives how many have changed.
   */
  async setQuarantine(tx: Tx, ids: readonly MediaId[], by: string | undefined): Promise<number> {
    if (ids.length === 0) return 0
    const source = tx.dialect.rowsFrom({ server_name: 'text', media_id: 'text' })
    const rows = ids.map(({ serverName, mediaId }) => ({ server_name: serverName, media_id: mediaId }))
    const chosen = `SELECT m.server_name, m.media_id, m.sha256 FROM media m
      JOIN ${source} AS r ON r.server_name = m.server_name AND r.media_id = m.media_id`
    const condition =
      by === undefined ? 'quarantined_by IS NOT NULL' : 'quarantined_by IS NULL AND is_protected = 0'
    return tx.execute(
      `WITH chosen AS (${chosen})
       UPDATE media SET quarantined_by = ? WHERE ${condition} AND (
         (server_name, media_id) IN (SELECT server_name, media_id FROM chosen)
         OR sha256 IN (SELECT sha256 FROM chosen WHERE sha256 IS NOT NULL)
       )`,
      [tx.dialect.rows(rows), by ?? null],
    )
  }

  /** Puts all that a user has uploaded into quarantine. Gives how many have changed. */
  async quarantineUser(tx: Tx, userId: UserId, by: UserId): Promise<number> {
    return tx.execute(
      `UPDATE media SET quarantined_by = ? WHERE quarantined_by IS NULL AND is_protected = 0 AND (
         user_id = ? OR sha256 IN (SELECT sha256 FROM media WHERE user_id = ? AND sha256 IS NOT NULL)
       )`,
      [by, userId, userId],
    )
  }

  /** Says whether a file may be quarantined; false where there is none. One that may not is taken out of it. */
  async setProtected(tx: Tx, { serverName, mediaId }: MediaId, isProtected: boolean): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE media SET is_protected = ?, quarantined_by = CASE WHEN ? = 1 THEN NULL ELSE quarantined_by END
       WHERE server_name = ? AND media_id = ?`,
      [Number(isProtected), Number(isProtected), serverName, mediaId],
    )
    return changed > 0
  }

  /** The users who have uploaded most. */
  async useByUser(q: Query, limit: number): Promise<MediaUse[]> {
    return q.all<MediaUse>(
      `SELECT user_id AS name, COUNT(*) AS files, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes FROM media
       WHERE user_id IS NOT NULL GROUP BY user_id ORDER BY bytes DESC, name LIMIT ?`,
      [limit],
    )
  }

  /** The other servers of which most is kept. */
  async useByServer(q: Query, { serverName, limit }: MediaUseOptions): Promise<MediaUse[]> {
    return q.all<MediaUse>(
      `SELECT server_name AS name, COUNT(*) AS files, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes FROM media
       WHERE server_name <> ? GROUP BY server_name ORDER BY bytes DESC, name LIMIT ?`,
      [serverName, limit],
    )
  }

  /** What is kept, by kind; files that are equal count once each time, though they take room once. */
  async useByKind(q: Query, serverName: ServerName): Promise<MediaUse[]> {
    return q.all<MediaUse>(
      `SELECT CASE WHEN server_name <> ? THEN 'remote' WHEN preview_url IS NOT NULL THEN 'previews'
                   WHEN file_key IS NULL THEN 'announced' ELSE 'uploaded' END AS name,
         COUNT(*) AS files, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes
       FROM media GROUP BY 1
       UNION ALL
       SELECT 'thumbnails' AS name, COUNT(*) AS files, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes
       FROM media_thumbnails`,
      [serverName],
    )
  }

  /** What takes room on disks: equal files once. */
  async storedUse(q: Query): Promise<{ files: number; bytes: number }> {
    const row = await q.first<{ files: number; bytes: number }>(
      `SELECT COUNT(*) AS files, CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes
       FROM (SELECT file_key, MAX(length) AS length FROM media WHERE file_key IS NOT NULL GROUP BY file_key) AS f`,
    )
    return { files: row?.files ?? 0, bytes: row?.bytes ?? 0 }
  }

  /** Files in the order of their places in the stores, after one. Index media_file. */
  async listFiles(q: Query, after: string, limit: number): Promise<{ fileKey: string; isLocal: boolean }[]> {
    const rows = await q.all<{ file_key: string; is_local: number }>(
      `SELECT file_key, MAX(CASE WHEN user_id IS NULL AND preview_url IS NULL THEN 0 ELSE 1 END) AS is_local
       FROM media WHERE file_key > ? GROUP BY file_key ORDER BY file_key LIMIT ?`,
      [after, limit],
    )
    return rows.map((row) => ({ fileKey: row.file_key, isLocal: row.is_local !== 0 }))
  }

  /** Deletes the rows of files that are lost. Index media_file. */
  async deleteOfFiles(tx: Tx, fileKeys: readonly string[]): Promise<number> {
    return tx.execute(`DELETE FROM media WHERE ${tx.dialect.anyOf('file_key', 'text')}`, [
      tx.dialect.list(fileKeys),
    ])
  }
}

function toId(row: IdRow): MediaId {
  return { serverName: row.server_name as ServerName, mediaId: row.media_id }
}
