import { isTrue, numberOf, textOf } from '../../../storage/synapse/rows.js'
import { hashToken } from '../../accounts/token-format.js'
import type { TableCopy } from '../table-copy.js'

/** Devices, the tokens by which they are recognised, and where they were last seen. */
export const SESSION_COPIES: readonly TableCopy[] = [
  {
    what: 'devices',
    from: {
      table: 'devices',
      columns: ['user_id', 'device_id', 'display_name', 'last_seen', 'ip', 'user_agent'],
      // Hidden ones stand for cross-signing keys.
      where: 'NOT CASE WHEN t.hidden THEN TRUE ELSE FALSE END',
      key: ['user_id', 'device_id'],
    },
    into: 'devices',
    options: {
      columns: {
        user_id: 'text',
        device_id: 'text',
        display_name: 'text',
        created_ts: 'integer',
        last_seen_ts: 'integer',
        last_seen_ip: 'text',
        user_agent: 'text',
      },
    },
    toRow: (row, { now }) => ({
      user_id: textOf(row['user_id']) ?? '',
      device_id: textOf(row['device_id']) ?? '',
      display_name: textOf(row['display_name']) ?? null,
      created_ts: numberOf(row['last_seen']) ?? now,
      last_seen_ts: numberOf(row['last_seen']) ?? null,
      last_seen_ip: textOf(row['ip']) ?? null,
      user_agent: textOf(row['user_agent']) ?? null,
    }),
  },
  {
    what: 'changes of devices',
    from: {
      table: 'devices',
      columns: ['user_id', 'device_id'],
      extra: {
        stream_id: `(SELECT MAX(s.stream_id) FROM device_lists_stream s
          WHERE s.user_id = t.user_id AND s.device_id = t.device_id)`,
      },
      where: 'NOT CASE WHEN t.hidden THEN TRUE ELSE FALSE END',
      key: ['user_id', 'device_id'],
    },
    into: 'device_list_changes',
    options: { columns: { user_id: 'text', device_id: 'text', stream_id: 'integer' } },
    toRow: (row) => ({
      user_id: textOf(row['user_id']) ?? '',
      device_id: textOf(row['device_id']) ?? '',
      stream_id: numberOf(row['stream_id']) ?? 1,
    }),
  },
  {
    what: 'access tokens',
    from: {
      table: 'access_tokens',
      columns: [
        'id',
        'user_id',
        'device_id',
        'token',
        'valid_until_ms',
        'puppets_user_id',
        'last_validated',
        'refresh_token_id',
        'used',
      ],
      key: ['id'],
    },
    into: 'access_tokens',
    options: {
      columns: {
        id: 'integer',
        token_hash: 'text',
        user_id: 'text',
        device_id: 'text',
        created_ts: 'integer',
        valid_until_ts: 'integer',
        refresh_token_id: 'integer',
        is_used: 'integer',
        validated_ts: 'integer',
        puppeted_by: 'text',
      },
    },
    toRow: (row, { now }) => {
      // Whoever is puppeted is whom the token acts as; the token's own user is the administrator.
      const puppet = textOf(row['puppets_user_id'])
      const owner = textOf(row['user_id']) ?? ''
      return {
        id: numberOf(row['id']) ?? 0,
        token_hash: hashToken(textOf(row['token']) ?? ''),
        user_id: puppet ?? owner,
        device_id: textOf(row['device_id']) ?? null,
        created_ts: numberOf(row['last_validated']) ?? now,
        valid_until_ts: numberOf(row['valid_until_ms']) ?? null,
        refresh_token_id: numberOf(row['refresh_token_id']) ?? null,
        is_used: isTrue(row['used']) ? 1 : 0,
        validated_ts: numberOf(row['last_validated']) ?? null,
        puppeted_by: puppet === undefined ? null : owner,
      }
    },
  },
  {
    what: 'refresh tokens',
    from: {
      table: 'refresh_tokens',
      columns: ['id', 'user_id', 'device_id', 'token', 'next_token_id'],
      optional: ['expiry_ts', 'ultimate_session_expiry_ts'],
      key: ['id'],
    },
    into: 'refresh_tokens',
    options: {
      columns: {
        id: 'integer',
        token_hash: 'text',
        user_id: 'text',
        device_id: 'text',
        next_token_id: 'integer',
        expiry_ts: 'integer',
        session_expiry_ts: 'integer',
      },
    },
    toRow: (row) => ({
      id: numberOf(row['id']) ?? 0,
      token_hash: hashToken(textOf(row['token']) ?? ''),
      user_id: textOf(row['user_id']) ?? '',
      device_id: textOf(row['device_id']) ?? '',
      next_token_id: numberOf(row['next_token_id']) ?? null,
      expiry_ts: numberOf(row['expiry_ts']) ?? null,
      session_expiry_ts: numberOf(row['ultimate_session_expiry_ts']) ?? null,
    }),
  },
  {
    what: 'addresses of devices',
    from: {
      table: 'user_ips',
      columns: ['user_id', 'device_id', 'ip', 'user_agent', 'last_seen'],
      key: ['user_id', 'access_token', 'ip'],
      extra: { access_token: 't.access_token' },
    },
    into: 'client_ips',
    options: {
      columns: {
        user_id: 'text',
        device_id: 'text',
        ip: 'text',
        user_agent: 'text',
        last_seen_ts: 'integer',
      },
      conflict: { key: ['user_id', 'device_id', 'ip', 'user_agent'], update: ['last_seen_ts'] },
    },
    toRow: (row) => ({
      user_id: textOf(row['user_id']) ?? '',
      device_id: textOf(row['device_id']) ?? '',
      ip: textOf(row['ip']) ?? '',
      user_agent: textOf(row['user_agent']) ?? '',
      last_seen_ts: numberOf(row['last_seen']) ?? 0,
    }),
  },
  {
    what: 'pushers',
    from: {
      table: 'pushers',
      columns: [
        'id',
        'user_name',
        'access_token',
        'profile_tag',
        'kind',
        'app_id',
        'app_display_name',
        'device_display_name',
        'pushkey',
        'ts',
        'lang',
        'data',
        'last_stream_ordering',
        'last_success',
      ],
      optional: ['enabled', 'device_id'],
      extra: { token_device: '(SELECT a.device_id FROM access_tokens a WHERE a.id = t.access_token)' },
      key: ['id'],
    },
    into: 'pushers',
    options: {
      columns: {
        pusher_id: 'integer',
        user_id: 'text',
        app_id: 'text',
        pushkey: 'text',
        kind: 'text',
        app_display_name: 'text',
        device_display_name: 'text',
        profile_tag: 'text',
        lang: 'text',
        data: 'text',
        is_enabled: 'integer',
        device_id: 'text',
        token_id: 'integer',
        pushkey_ts: 'integer',
        position: 'integer',
        last_success_ts: 'integer',
      },
      conflict: 'ignore',
    },
    toRow: (row, { newestPosition }) => ({
      ...describePusher(row),
      pusher_id: numberOf(row['id']) ?? 0,
      user_id: textOf(row['user_name']) ?? '',
      app_id: textOf(row['app_id']) ?? '',
      pushkey: textOf(row['pushkey']) ?? '',
      kind: textOf(row['kind']) ?? '',
      // Absent: of a time when all were.
      is_enabled: row['enabled'] === null || isTrue(row['enabled']) ? 1 : 0,
      device_id: textOf(row['device_id']) ?? textOf(row['token_device']) ?? null,
      token_id: numberOf(row['access_token']) ?? null,
      pushkey_ts: numberOf(row['ts']) ?? 0,
      position: Math.min(numberOf(row['last_stream_ordering']) ?? newestPosition, newestPosition),
      last_success_ts: numberOf(row['last_success']) ?? null,
    }),
  },
]

/** What a client has said of its pusher. */
function describePusher(row: Record<string, unknown>): Record<string, string | null> {
  return {
    app_display_name: textOf(row['app_display_name']) ?? '',
    device_display_name: textOf(row['device_display_name']) ?? '',
    profile_tag: textOf(row['profile_tag']) ?? null,
    lang: textOf(row['lang']) ?? '',
    data: textOf(row['data']) ?? '{}',
  }
}
