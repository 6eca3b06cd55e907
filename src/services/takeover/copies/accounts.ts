import { createHash } from 'node:crypto'
import { isTrue, numberOf, textOf } from '../../../storage/synapse/rows.js'
import { objectOf } from '../json-column.js'
import type { TableCopy } from '../table-copy.js'

/** Users, what they are called, and what names them elsewhere. */
export const ACCOUNT_COPIES: readonly TableCopy[] = [
  {
    what: 'users',
    from: {
      table: 'users',
      columns: [
        'name',
        'password_hash',
        'creation_ts',
        'admin',
        'is_guest',
        'appservice_id',
        'user_type',
        'deactivated',
        'shadow_banned',
      ],
      optional: ['locked', 'suspended', 'approved'],
      extra: {
        erased: 'CASE WHEN EXISTS (SELECT 1 FROM erased_users x WHERE x.user_id = t.name) THEN 1 ELSE 0 END',
      },
      key: ['name'],
    },
    into: 'users',
    options: {
      columns: {
        user_id: 'text',
        password_hash: 'text',
        created_ts: 'integer',
        is_admin: 'integer',
        is_guest: 'integer',
        is_deactivated: 'integer',
        is_erased: 'integer',
        is_locked: 'integer',
        is_suspended: 'integer',
        is_shadow_banned: 'integer',
        user_type: 'text',
        appservice_id: 'text',
      },
    },
    toRow: (row) => ({
      user_id: textOf(row['name']) ?? '',
      password_hash: textOf(row['password_hash']) ?? null,
      // In seconds there.
      created_ts: (numberOf(row['creation_ts']) ?? 0) * 1000,
      is_admin: flag(row['admin']),
      is_guest: flag(row['is_guest']),
      is_deactivated: flag(row['deactivated']),
      is_erased: flag(row['erased']),
      // Whoever has not been let in yet stays outside.
      is_locked: isTrue(row['locked']) || row['approved'] === 0 ? 1 : 0,
      is_suspended: flag(row['suspended']),
      is_shadow_banned: flag(row['shadow_banned']),
      user_type: textOf(row['user_type']) ?? null,
      appservice_id: textOf(row['appservice_id']) ?? null,
    }),
  },
  {
    what: 'agreements to terms',
    from: {
      table: 'users',
      columns: ['name', 'consent_version'],
      optional: ['consent_ts'],
      where: 't.consent_version IS NOT NULL',
      key: ['name'],
    },
    into: 'user_consents',
    options: { columns: { user_id: 'text', version: 'text', ts: 'integer' }, conflict: 'ignore' },
    toRow: (row) => ({
      user_id: textOf(row['name']) ?? '',
      version: textOf(row['consent_version']) ?? '',
      ts: numberOf(row['consent_ts']) ?? null,
    }),
  },
  {
    what: 'notices of terms',
    from: {
      table: 'users',
      columns: ['name', 'consent_server_notice_sent'],
      where: 't.consent_server_notice_sent IS NOT NULL',
      key: ['name'],
    },
    into: 'policy_notices',
    options: { columns: { user_id: 'text', version: 'text' }, conflict: 'ignore' },
    toRow: (row) => ({
      user_id: textOf(row['name']) ?? '',
      version: textOf(row['consent_server_notice_sent']) ?? '',
    }),
  },
  {
    what: 'users who are deactivated and still in rooms',
    from: { table: 'users_pending_deactivation', columns: ['user_id'], key: ['user_id'] },
    into: 'pending_deactivations',
    options: { columns: { user_id: 'text' }, conflict: 'ignore' },
    toRow: (row) => ({ user_id: textOf(row['user_id']) ?? '' }),
  },
  {
    what: 'profiles',
    from: {
      table: 'profiles',
      columns: ['user_id', 'displayname', 'avatar_url'],
      optional: ['fields'],
      key: ['user_id'],
    },
    into: 'profiles',
    options: {
      columns: { user_id: 'text', display_name: 'text', avatar_url: 'text', fields: 'text' },
      conflict: 'ignore',
    },
    toRow: (row, { serverName }) => ({
      // Known by the localpart there.
      user_id: `@${textOf(row['user_id']) ?? ''}:${serverName}`,
      display_name: textOf(row['displayname']) ?? null,
      avatar_url: textOf(row['avatar_url']) ?? null,
      fields: JSON.stringify(objectOf(row['fields']) ?? {}),
    }),
  },
  {
    what: 'third-party IDs',
    from: {
      table: 'user_threepids',
      columns: ['user_id', 'medium', 'address', 'validated_at', 'added_at'],
      key: ['medium', 'address'],
    },
    into: 'user_threepids',
    options: {
      columns: {
        medium: 'text',
        address: 'text',
        user_id: 'text',
        validated_ts: 'integer',
        added_ts: 'integer',
      },
      conflict: 'ignore',
    },
    toRow: (row) => ({
      medium: textOf(row['medium']) ?? '',
      address: textOf(row['address']) ?? '',
      user_id: textOf(row['user_id']) ?? '',
      validated_ts: numberOf(row['validated_at']) ?? 0,
      added_ts: numberOf(row['added_at']) ?? 0,
    }),
  },
  {
    what: 'identity servers that know third-party IDs',
    from: {
      table: 'user_threepid_id_server',
      columns: ['user_id', 'medium', 'address', 'id_server'],
      key: ['user_id', 'medium', 'address', 'id_server'],
    },
    into: 'identity_bindings',
    options: {
      columns: { user_id: 'text', medium: 'text', address: 'text', id_server: 'text' },
      conflict: 'ignore',
    },
    toRow: (row) => ({
      user_id: textOf(row['user_id']) ?? '',
      medium: textOf(row['medium']) ?? '',
      address: textOf(row['address']) ?? '',
      id_server: textOf(row['id_server']) ?? '',
    }),
  },
  {
    what: 'external IDs',
    from: {
      table: 'user_external_ids',
      columns: ['auth_provider', 'external_id', 'user_id'],
      key: ['auth_provider', 'external_id'],
    },
    into: 'user_external_ids',
    options: {
      columns: { auth_provider: 'text', external_id: 'text', user_id: 'text' },
      conflict: 'ignore',
    },
    toRow: (row) => ({
      auth_provider: textOf(row['auth_provider']) ?? '',
      external_id: textOf(row['external_id']) ?? '',
      user_id: textOf(row['user_id']) ?? '',
    }),
  },
  {
    what: 'devices that were logged in by another service',
    from: {
      table: 'device_auth_providers',
      columns: ['user_id', 'device_id', 'auth_provider_id', 'auth_provider_session_id'],
      key: ['user_id', 'device_id', 'auth_provider_id', 'auth_provider_session_id'],
    },
    into: 'device_provider_sessions',
    options: {
      columns: { user_id: 'text', device_id: 'text', provider: 'text', provider_session: 'text' },
      conflict: 'ignore',
    },
    toRow: (row) => ({
      user_id: textOf(row['user_id']) ?? '',
      device_id: textOf(row['device_id']) ?? '',
      provider: textOf(row['auth_provider_id']) ?? '',
      provider_session: textOf(row['auth_provider_session_id']) ?? '',
    }),
  },
  {
    what: 'filters',
    from: {
      table: 'user_filters',
      columns: ['user_id', 'filter_id', 'filter_json'],
      key: ['user_id', 'filter_id'],
    },
    into: 'filters',
    options: {
      columns: { user_id: 'text', filter_id: 'integer', hash: 'text', json: 'text' },
      conflict: 'ignore',
    },
    toRow: (row, { serverName }) => {
      const json = textOf(row['filter_json']) ?? '{}'
      return {
        user_id: `@${textOf(row['user_id']) ?? ''}:${serverName}`,
        filter_id: numberOf(row['filter_id']) ?? 0,
        hash: createHash('sha256').update(json).digest('hex'),
        json,
      }
    },
  },
  {
    what: 'registration tokens',
    from: {
      table: 'registration_tokens',
      columns: ['token', 'uses_allowed', 'pending', 'completed', 'expiry_time'],
      key: ['token'],
    },
    into: 'registration_tokens',
    options: {
      columns: {
        token: 'text',
        uses_allowed: 'integer',
        pending: 'integer',
        completed: 'integer',
        expiry_ts: 'integer',
      },
    },
    toRow: (row) => ({
      token: textOf(row['token']) ?? '',
      uses_allowed: numberOf(row['uses_allowed']) ?? null,
      // Sessions of registration do not come over, and with them not what they hold.
      pending: 0,
      completed: numberOf(row['completed']) ?? 0,
      expiry_ts: numberOf(row['expiry_time']) ?? null,
    }),
  },
]

function flag(value: unknown): number {
  return isTrue(value) ? 1 : 0
}
