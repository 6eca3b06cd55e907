import type { ServerName } from '../../protocol/ids.js'
import type { Query, Tx } from '../database.js'

/** A key with which another server signs, or signed. */
export interface ServerKey {
  readonly serverName: ServerName
  /** `ed25519:` and the version. */
  readonly keyId: string
  /** In Base64. */
  readonly publicKey: string
  /** For keys that are used no more: when they stopped being valid. */
  readonly validUntilTs: number
}

/** What a server has signed of its keys. */
export interface ServerKeyDocument {
  readonly serverName: ServerName
  /** Of the keys that it names: each leads to it. */
  readonly keyIds: readonly string[]
  readonly fetchedTs: number
  readonly validUntilTs: number
  /** Canonical JSON with the server's signatures. */
  readonly text: string
}

interface KeyRow {
  server_name: string
  key_id: string
  public_key: string
  valid_until_ts: number
}

interface DocumentRow {
  server_name: string
  key_id: string
  fetched_ts: number
  valid_until_ts: number
  document: string
}

const KEY_COLUMNS = {
  server_name: 'text',
  key_id: 'text',
  public_key: 'text',
  valid_until_ts: 'integer',
} as const

const DOCUMENT_COLUMNS = {
  server_name: 'text',
  key_id: 'text',
  fetched_ts: 'integer',
  valid_until_ts: 'integer',
  document: 'text',
} as const

const PRIMARY_KEY = ['server_name', 'key_id'] as const

/** The signing keys of other servers. */
export class ServerKeysStore {
  /** All that is known of some servers. By primary key prefix. */
  async listKeys(q: Query, serverNames: readonly ServerName[]): Promise<ServerKey[]> {
    if (serverNames.length === 0) return []
    const rows = await q.all<KeyRow>(
      `SELECT server_name, key_id, public_key, valid_until_ts FROM server_keys
       WHERE ${q.dialect.anyOf('server_name', 'text')}`,
      [q.dialect.list(serverNames)],
    )
    return rows.map((row) => ({
      serverName: row.server_name as ServerName,
      keyId: row.key_id,
      publicKey: row.public_key,
      validUntilTs: row.valid_until_ts,
    }))
  }

  /** What servers have signed of their keys, each document once. By primary key prefix. */
  async listDocuments(q: Query, serverNames: readonly ServerName[]): Promise<ServerKeyDocument[]> {
    if (serverNames.length === 0) return []
    const rows = await q.all<DocumentRow>(
      `SELECT server_name, key_id, fetched_ts, valid_until_ts, document FROM server_key_documents
       WHERE ${q.dialect.anyOf('server_name', 'text')} ORDER BY server_name, key_id`,
      [q.dialect.list(serverNames)],
    )
    const documents = new Map<string, ServerKeyDocument & { keyIds: string[] }>()
    for (const row of rows) {
      const key = `${row.server_name} ${row.document}`
      const known = documents.get(key)
      if (known !== undefined) known.keyIds.push(row.key_id)
      else {
        documents.set(key, {
          serverName: row.server_name as ServerName,
          keyIds: [row.key_id],
          fetchedTs: row.fetched_ts,
          validUntilTs: row.valid_until_ts,
          text: row.document,
        })
      }
    }
    return [...documents.values()]
  }

  /** Stores keys, each in the place of what was known of it. No two of them may be the same key. */
  async putKeys(tx: Tx, keys: readonly ServerKey[]): Promise<void> {
    const rows = keys.map((key) => ({
      server_name: key.serverName,
      key_id: key.keyId,
      public_key: key.publicKey,
      valid_until_ts: key.validUntilTs,
    }))
    await tx.insertMany('server_keys', rows, {
      columns: KEY_COLUMNS,
      conflict: { key: PRIMARY_KEY, update: ['public_key', 'valid_until_ts'] },
    })
  }

  /** Stores documents for all keys that they name. No two of them may name the same key. */
  async putDocuments(tx: Tx, documents: readonly ServerKeyDocument[]): Promise<void> {
    const rows = documents.flatMap((document) =>
      document.keyIds.map((keyId) => ({
        server_name: document.serverName,
        key_id: keyId,
        fetched_ts: document.fetchedTs,
        valid_until_ts: document.validUntilTs,
        document: document.text,
      })),
    )
    await tx.insertMany('server_key_documents', rows, {
      columns: DOCUMENT_COLUMNS,
      conflict: { key: PRIMARY_KEY, update: ['fetched_ts', 'valid_until_ts', 'document'] },
    })
  }
}
