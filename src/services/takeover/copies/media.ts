import { isTrue, numberOf, textOf } from '../../../storage/synapse/rows.js'
import type { TableCopy } from '../table-copy.js'

const INTO = {
  into: 'media',
  options: {
    columns: {
      server_name: 'text',
      media_id: 'text',
      user_id: 'text',
      file_key: 'text',
      sha256: 'text',
      content_type: 'text',
      upload_name: 'text',
      length: 'integer',
      created_ts: 'integer',
      last_access_ts: 'integer',
      expires_ts: 'integer',
      quarantined_by: 'text',
      is_protected: 'integer',
      is_authenticated: 'integer',
    },
    conflict: 'ignore',
  },
} as const

/** Uploads that were announced can be made for this long. */
const PENDING_MS = 24 * 3_600_000

/** Files: what is known of them; where they lie does not change. */
export const MEDIA_COPIES: readonly TableCopy[] = [
  {
    what: 'files',
    from: {
      table: 'local_media_repository',
      columns: [
        'media_id',
        'media_type',
        'media_length',
        'created_ts',
        'upload_name',
        'user_id',
        'quarantined_by',
        'last_access_ts',
        'safe_from_quarantine',
      ],
      optional: ['authenticated', 'sha256'],
      // Pictures of previews are fetched again.
      where: 't.url_cache IS NULL',
      key: ['media_id'],
    },
    ...INTO,
    toRow: (row, { serverName }) => {
      const mediaId = textOf(row['media_id']) ?? ''
      const length = numberOf(row['media_length'])
      const createdTs = numberOf(row['created_ts']) ?? 0
      return {
        server_name: serverName,
        media_id: mediaId,
        user_id: textOf(row['user_id']) ?? null,
        file_key: length === undefined ? null : `local_content/${spread(mediaId)}`,
        ...shared(row),
        created_ts: createdTs,
        last_access_ts: numberOf(row['last_access_ts']) ?? createdTs,
        expires_ts: length === undefined ? createdTs + PENDING_MS : null,
        is_protected: isTrue(row['safe_from_quarantine']) ? 1 : 0,
      }
    },
  },
  {
    what: 'files of other servers',
    from: {
      table: 'remote_media_cache',
      columns: [
        'media_origin',
        'media_id',
        'media_type',
        'media_length',
        'created_ts',
        'upload_name',
        'filesystem_id',
        'quarantined_by',
        'last_access_ts',
      ],
      optional: ['authenticated', 'sha256'],
      key: ['media_origin', 'media_id'],
    },
    ...INTO,
    toRow: (row) => {
      const origin = textOf(row['media_origin']) ?? ''
      const createdTs = numberOf(row['created_ts']) ?? 0
      return {
        server_name: origin,
        media_id: textOf(row['media_id']) ?? '',
        user_id: null,
        file_key: `remote_content/${origin}/${spread(textOf(row['filesystem_id']) ?? '')}`,
        ...shared(row),
        created_ts: createdTs,
        last_access_ts: numberOf(row['last_access_ts']) ?? createdTs,
        expires_ts: null,
        is_protected: 0,
      }
    },
  },
]

function shared(row: Record<string, unknown>): Record<string, string | number | null> {
  return {
    sha256: textOf(row['sha256']) ?? null,
    content_type: textOf(row['media_type']) ?? null,
    upload_name: textOf(row['upload_name']) ?? null,
    length: numberOf(row['media_length']) ?? null,
    quarantined_by: textOf(row['quarantined_by']) ?? null,
    is_authenticated: isTrue(row['authenticated']) ? 1 : 0,
  }
}

/** Where a file lies by its ID: in directories named by its first letters. */
function spread(id: string): string {
  return `${id.slice(0, 2)}/${id.slice(2, 4)}/${id.slice(4)}`
}
