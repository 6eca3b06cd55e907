import type { Knex } from 'knex'

/** Files: uploaded here, kept of other servers', thumbnails of them, and previews of pages. */
export const name = '0014-media'

const TABLES = ['url_previews', 'media_thumbnails', 'media']

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  const statements = [
    // file_key: where its content is in the stores; NULL while nothing has been uploaded. Several rows with the same
    // content share a file. user_id: who uploaded it; NULL for files of other servers. preview_url: for pictures of
    // previews, the page. expires_ts: until when something must have been uploaded. quarantined_by: a user ID or a
    // word for what did it. is_authenticated: not served without a token.
    `CREATE TABLE media (
      server_name TEXT NOT NULL,
      media_id TEXT NOT NULL,
      user_id TEXT,
      file_key TEXT,
      sha256 TEXT,
      content_type TEXT,
      upload_name TEXT,
      length BIGINT,
      created_ts BIGINT NOT NULL,
      last_access_ts BIGINT NOT NULL,
      expires_ts BIGINT,
      preview_url TEXT,
      quarantined_by TEXT,
      is_protected SMALLINT NOT NULL,
      is_authenticated SMALLINT NOT NULL,
      PRIMARY KEY (server_name, media_id)
    )${clustered}`,
    `CREATE INDEX media_user ON media (user_id, created_ts) WHERE user_id IS NOT NULL`,
    `CREATE INDEX media_file ON media (file_key) WHERE file_key IS NOT NULL`,
    `CREATE INDEX media_hash ON media (sha256) WHERE sha256 IS NOT NULL`,
    `CREATE INDEX media_access ON media (last_access_ts)`,
    `CREATE INDEX media_pending ON media (expires_ts) WHERE file_key IS NULL`,

    // By the content that they were made of. width, height, method: as asked for, not as they came out.
    `CREATE TABLE media_thumbnails (
      file_key TEXT NOT NULL,
      width INTEGER NOT NULL,
      height INTEGER NOT NULL,
      method TEXT NOT NULL,
      is_animated SMALLINT NOT NULL,
      thumbnail_key TEXT NOT NULL,
      content_type TEXT NOT NULL,
      length BIGINT NOT NULL,
      PRIMARY KEY (file_key, width, height, method, is_animated)
    )${clustered}`,
    `CREATE INDEX media_thumbnails_key ON media_thumbnails (thumbnail_key)`,

    // What was said of a page, as JSON. url_hash: SHA-256, since URLs are longer than keys may be.
    `CREATE TABLE url_previews (
      url_hash TEXT PRIMARY KEY,
      url TEXT NOT NULL,
      preview TEXT NOT NULL,
      fetched_ts BIGINT NOT NULL,
      expires_ts BIGINT NOT NULL
    )${clustered}`,
    `CREATE INDEX url_previews_expiry ON url_previews (expires_ts)`,
  ]
  for (const statement of statements) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of TABLES) await knex.raw(`DROP TABLE ${table}`)
}
