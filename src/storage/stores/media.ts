import type { Query, SqlValue, Tx } from '../database.js'
import type { ServerName, UserId } from '../../protocol/ids.js'

/** What names a file in the whole of Matrix. */
export interface MediaId {
  readonly serverName: ServerName
  readonly mediaId: string
}

/** A file, or the promise of one, as the database knows it. */
export interface MediaRecord extends MediaId {
  /** Who uploaded it; undefined for files of other servers. */
  readonly userId: UserId | undefined
  /** Where the content is in the stores; undefined while nothing has been uploaded. */
  readonly fileKey: string | undefined
  /** Of the content, in hexadecimal; undefined for files of old. */
  readonly sha256: string | undefined
  readonly contentType: string | undefined
  readonly uploadName: string | undefined
  /** In bytes; undefined while nothing has been uploaded. */
  readonly length: number | undefined
  readonly createdTs: number
  readonly lastAccessTs: number
  /** Until when something must have been uploaded; undefined once it has. */
  readonly expiresTs: number | undefined
  /** The page that it is a picture of; undefined for all that somebody has uploaded. */
  readonly previewUrl: string | undefined
  /** Who or what has put it out of reach. */
  readonly quarantinedBy: string | undefined
  /** It is never quarantined. */
  readonly isProtected: boolean
  /** It is shown only to those who say who they are, where the configuration wants it. */
  readonly isAuthenticated: boolean
}

/** The content of a file, as it is known once it has come. */
export interface MediaContent {
  readonly fileKey: string
  readonly sha256: string
  readonly contentType: string
  readonly uploadName: string | undefined
  readonly length: number
}

interface Row {
  server_name: string
  media_id: string
  user_id: string | null
  file_key: string | null
  sha256: string | null
  content_type: string | null
  upload_name: string | null
  length: number | null
  created_ts: number
  last_access_ts: number
  expires_ts: number | null
  preview_url: string | null
  quarantined_by: string | null
  is_protected: number
  is_authenticated: number
}

/** Files: of this server and kept of others. */
export class MediaStore {
  /** By primary key. */
  async get(q: Query, { serverName, mediaId }: MediaId): Promise<MediaRecord | undefined> {
    const row = await q.first<Row>('SELECT * FROM media WHERE server_name = ? AND media_id = ?', [
      serverName,
      mediaId,
    ])
    return row && toRecord(row)
  }

  /** Inserts a file, or the promise of one. */
  async insert(tx: Tx, record: MediaRecord): Promise<void> {
    await tx.execute(
      INSERT,
      COLUMNS.map((column) => toRow(record)[column] ?? null),
    )
  }

  /** Inserts a file, or replaces it by this one: of another server, fetched again. */
  async upsert(tx: Tx, record: MediaRecord): Promise<void> {
    const updates = COLUMNS.slice(2).map((column) => `${column} = excluded.${column}`)
    await tx.execute(
      `${INSERT} ON CONFLICT (server_name, media_id) DO UPDATE SET ${updates.join(', ')}`,
      COLUMNS.map((column) => toRow(record)[column] ?? null),
    )
  }

  /** Gives what was promised its content; false when it has some already or is gone. */
  async fill(tx: Tx, { serverName, mediaId }: MediaId, content: MediaContent): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE media SET file_key = ?, sha256 = ?, content_type = ?, upload_name = ?, length = ?, expires_ts = NULL
       WHERE server_name = ? AND media_id = ? AND file_key IS NULL`,
      [
        content.fileKey,
        content.sha256,
        content.contentType,
        content.uploadName ?? null,
        content.length,
        serverName,
        mediaId,
      ],
    )
    return changed > 0
  }

  /** Quarantines a file whose content is in quarantine elsewhere. Index media_hash. */
  async inheritQuarantine(tx: Tx, { serverName, mediaId }: MediaId, sha256: string): Promise<void> {
    const quarantiner = await this.quarantinerOf(tx, sha256)
    if (quarantiner === undefined) return
    await tx.execute('UPDATE media SET quarantined_by = ? WHERE server_name = ? AND media_id = ?', [
      quarantiner,
      serverName,
      mediaId,
    ])
  }

  /** The user's promises that can still be kept: how many, and when the first of them ends. Index media_user. */
  async pendingOf(
    q: Query,
    userId: UserId,
    now: number,
  ): Promise<{ count: number; firstExpiryTs: number | undefined }> {
    const row = await q.first<{ n: number; first: number | null }>(
      `SELECT COUNT(*) AS n, MIN(expires_ts) AS first FROM media
       WHERE user_id = ? AND file_key IS NULL AND expires_ts > ?`,
      [userId, now],
    )
    return { count: row?.n ?? 0, firstExpiryTs: row?.first ?? undefined }
  }

  /** Deletes promises that nobody has kept in time. Index media_pending. */
  async deleteExpired(tx: Tx, now: number): Promise<number> {
    return tx.execute('DELETE FROM media WHERE file_key IS NULL AND expires_ts <= ?', [now])
  }

  /** Bytes that the user has uploaded since then. Index media_user. */
  async uploadedSince(q: Query, userId: UserId, sinceTs: number): Promise<number> {
    const row = await q.first<{ bytes: number }>(
      `SELECT CAST(COALESCE(SUM(length), 0) AS BIGINT) AS bytes FROM media WHERE user_id = ? AND created_ts > ?`,
      [userId, sinceTs],
    )
    return row?.bytes ?? 0
  }

  /** Whether any file has this content. Index media_file. */
  async isFileUsed(q: Query, fileKey: string): Promise<boolean> {
    return (await this.usedFiles(q, [fileKey])).size > 0
  }

  /** Those of the files that some row refers to. Index media_file. */
  async usedFiles(q: Query, fileKeys: readonly string[]): Promise<Set<string>> {
    if (fileKeys.length === 0) return new Set()
    const rows = await q.all<{ file_key: string }>(
      `SELECT DISTINCT file_key FROM media WHERE ${q.dialect.anyOf('file_key', 'text')}`,
      [q.dialect.list(fileKeys)],
    )
    return new Set(rows.map((row) => row.file_key))
  }

  /** Who or what has quarantined this content, wherever it came from. Index media_hash. */
  async quarantinerOf(q: Query, sha256: string): Promise<string | undefined> {
    const row = await q.first<{ quarantined_by: string }>(
      'SELECT quarantined_by FROM media WHERE sha256 = ? AND quarantined_by IS NOT NULL LIMIT 1',
      [sha256],
    )
    return row?.quarantined_by
  }

  /** Writes when files were last asked for, with one statement. */
  async touch(tx: Tx, accesses: readonly (MediaId & { readonly ts: number })[]): Promise<void> {
    if (accesses.length === 0) return
    const source = tx.dialect.rowsFrom({ server_name: 'text', media_id: 'text', ts: 'integer' })
    const rows = accesses.map(({ serverName, mediaId, ts }) => ({
      server_name: serverName,
      media_id: mediaId,
      ts,
    }))
    await tx.execute(
      `UPDATE media SET last_access_ts = r.ts FROM ${source} AS r
       WHERE media.server_name = r.server_name AND media.media_id = r.media_id AND media.last_access_ts < r.ts`,
      [tx.dialect.rows(rows)],
    )
  }

  /** Deletes rows and gives the files that they referred to: each may still be another's content. */
  async delete(tx: Tx, ids: readonly MediaId[]): Promise<string[]> {
    if (ids.length === 0) return []
    const source = tx.dialect.rowsFrom({ server_name: 'text', media_id: 'text' })
    const rows = ids.map(({ serverName, mediaId }) => ({ server_name: serverName, media_id: mediaId }))
    const deleted = await tx.all<{ file_key: string | null }>(
      `DELETE FROM media WHERE (server_name, media_id) IN (SELECT r.server_name, r.media_id FROM ${source} AS r)
       RETURNING file_key`,
      [tx.dialect.rows(rows)],
    )
    return [...new Set(deleted.flatMap(({ file_key }) => file_key ?? []))]
  }
}

const COLUMNS = [
  'server_name',
  'media_id',
  'user_id',
  'file_key',
  'sha256',
  'content_type',
  'upload_name',
  'length',
  'created_ts',
  'last_access_ts',
  'expires_ts',
  'preview_url',
  'quarantined_by',
  'is_protected',
  'is_authenticated',
] as const satisfies readonly (keyof Row)[]

const INSERT = `INSERT INTO media (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})`

function toRow(record: MediaRecord): Record<(typeof COLUMNS)[number], SqlValue> {
  return {
    server_name: record.serverName,
    media_id: record.mediaId,
    user_id: record.userId ?? null,
    file_key: record.fileKey ?? null,
    sha256: record.sha256 ?? null,
    content_type: record.contentType ?? null,
    upload_name: record.uploadName ?? null,
    length: record.length ?? null,
    created_ts: record.createdTs,
    last_access_ts: record.lastAccessTs,
    expires_ts: record.expiresTs ?? null,
    preview_url: record.previewUrl ?? null,
    quarantined_by: record.quarantinedBy ?? null,
    is_protected: Number(record.isProtected),
    is_authenticated: Number(record.isAuthenticated),
  }
}

/** A row of `SELECT * FROM media`. */
export function toRecord(row: Row): MediaRecord {
  return {
    serverName: row.server_name as ServerName,
    mediaId: row.media_id,
    userId: (row.user_id ?? undefined) as UserId | undefined,
    fileKey: row.file_key ?? undefined,
    sha256: row.sha256 ?? undefined,
    contentType: row.content_type ?? undefined,
    uploadName: row.upload_name ?? undefined,
    length: row.length ?? undefined,
    createdTs: row.created_ts,
    lastAccessTs: row.last_access_ts,
    expiresTs: row.expires_ts ?? undefined,
    previewUrl: row.preview_url ?? undefined,
    quarantinedBy: row.quarantined_by ?? undefined,
    isProtected: row.is_protected !== 0,
    isAuthenticated: row.is_authenticated !== 0,
  }
}

export type MediaRow = Row
