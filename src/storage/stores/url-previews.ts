import type { Query, Tx } from '../database.js'
import type { JsonObject } from '../../util/json.js'

/** What was said of a page, and how long that holds. */
export interface UrlPreviewRecord {
  readonly url: string
  readonly preview: JsonObject
  readonly fetchedTs: number
  readonly expiresTs: number
}

/** Previews of pages, by the SHA-256 of their URLs. */
export class UrlPreviewsStore {
  /** By primary key. */
  async get(q: Query, urlHash: string): Promise<UrlPreviewRecord | undefined> {
    const row = await q.first<{ url: string; preview: string; fetched_ts: number; expires_ts: number }>(
      'SELECT url, preview, fetched_ts, expires_ts FROM url_previews WHERE url_hash = ?',
      [urlHash],
    )
    if (row === undefined) return undefined
    return {
      url: row.url,
      preview: JSON.parse(row.preview) as JsonObject,
      fetchedTs: row.fetched_ts,
      expiresTs: row.expires_ts,
    }
  }

  async put(tx: Tx, urlHash: string, record: UrlPreviewRecord): Promise<void> {
    await tx.execute(
      `INSERT INTO url_previews (url_hash, url, preview, fetched_ts, expires_ts) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (url_hash) DO UPDATE SET url = excluded.url, preview = excluded.preview,
         fetched_ts = excluded.fetched_ts, expires_ts = excluded.expires_ts`,
      [urlHash, record.url, JSON.stringify(record.preview), record.fetchedTs, record.expiresTs],
    )
  }

  /** Index url_previews_expiry. */
  async deleteExpired(tx: Tx, now: number): Promise<number> {
    return tx.execute('DELETE FROM url_previews WHERE expires_ts <= ?', [now])
  }
}
