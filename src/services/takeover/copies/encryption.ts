import { isTrue, numberOf, textOf } from '../../../storage/synapse/rows.js'
import { isJsonObject } from '../../../util/json.js'
import { objectOf } from '../json-column.js'
import { ofLocalUsers, type TableCopy } from '../table-copy.js'

/** Keys of end-to-end encryption, and messages that wait for devices. */
export function encryptionCopies(serverName: string): readonly TableCopy[] {
  return [...keysOfDevices(), ...dehydratedDevices(), ...userKeys(serverName), ...backups(), ...messages()]
}

function device(row: Record<string, unknown>): { user_id: string; device_id: string } {
  return { user_id: textOf(row['user_id']) ?? '', device_id: textOf(row['device_id']) ?? '' }
}

function keysOfDevices(): TableCopy[] {
  return [
    {
      what: 'keys of devices',
      from: {
        table: 'e2e_device_keys_json',
        columns: ['user_id', 'device_id', 'key_json'],
        key: ['user_id', 'device_id'],
      },
      into: 'device_keys',
      options: { columns: { user_id: 'text', device_id: 'text', keys: 'text' } },
      toRow: (row) => {
        const keys = objectOf(row['key_json'])
        if (keys === undefined) return undefined
        const { unsigned: _unsigned, ...signed } = keys
        return { ...device(row), keys: JSON.stringify(signed) }
      },
    },
    {
      what: 'one-time keys',
      from: {
        table: 'e2e_one_time_keys_json',
        columns: ['user_id', 'device_id', 'algorithm', 'key_id', 'ts_added_ms', 'key_json'],
        key: ['user_id', 'device_id', 'algorithm', 'key_id'],
      },
      into: 'one_time_keys',
      options: {
        columns: {
          user_id: 'text',
          device_id: 'text',
          algorithm: 'text',
          key_id: 'text',
          key: 'text',
          uploaded_ts: 'integer',
        },
      },
      toRow: (row) => ({
        ...device(row),
        algorithm: textOf(row['algorithm']) ?? '',
        key_id: textOf(row['key_id']) ?? '',
        key: textOf(row['key_json']) ?? '{}',
        uploaded_ts: numberOf(row['ts_added_ms']) ?? 0,
      }),
    },
    {
      what: 'fallback keys',
      from: {
        table: 'e2e_fallback_keys_json',
        columns: ['user_id', 'device_id', 'algorithm', 'key_id', 'key_json', 'used'],
        key: ['user_id', 'device_id', 'algorithm'],
      },
      into: 'fallback_keys',
      options: {
        columns: {
          user_id: 'text',
          device_id: 'text',
          algorithm: 'text',
          key_id: 'text',
          key: 'text',
          used: 'integer',
        },
      },
      toRow: (row) => ({
        ...device(row),
        algorithm: textOf(row['algorithm']) ?? '',
        key_id: textOf(row['key_id']) ?? '',
        key: textOf(row['key_json']) ?? '{}',
        used: isTrue(row['used']) ? 1 : 0,
      }),
    },
  ]
}

function dehydratedDevices(): TableCopy[] {
  return [
    {
      what: 'dehydrated devices',
      from: {
        table: 'dehydrated_devices',
        columns: ['user_id', 'device_id', 'device_data'],
        key: ['user_id'],
      },
      into: 'dehydrated_devices',
      options: { columns: { user_id: 'text', device_id: 'text', data: 'text' } },
      toRow: (row) => ({ ...device(row), data: textOf(row['device_data']) ?? '{}' }),
    },
  ]
}

function userKeys(serverName: string): TableCopy[] {
  const local = ofLocalUsers('t.user_id', serverName)
  return [
    {
      what: 'cross-signing keys',
      from: {
        table: 'e2e_cross_signing_keys',
        columns: ['user_id', 'keytype', 'keydata', 'stream_id'],
        // The newest of each counts. Those of other servers' users are fetched when somebody wants them.
        where: `${local.where} AND t.stream_id = (SELECT MAX(x.stream_id) FROM e2e_cross_signing_keys x
          WHERE x.user_id = t.user_id AND x.keytype = t.keytype)`,
        params: local.params,
        key: ['user_id', 'keytype', 'stream_id'],
      },
      into: 'cross_signing_keys',
      options: {
        columns: { user_id: 'text', usage: 'text', public_key: 'text', key: 'text' },
        conflict: 'ignore',
      },
      toRow: (row) => {
        const key = objectOf(row['keydata'])
        const keys = key?.['keys']
        const publicKey = isJsonObject(keys) ? Object.values(keys)[0] : undefined
        if (typeof publicKey !== 'string') return undefined
        return {
          user_id: textOf(row['user_id']) ?? '',
          usage: textOf(row['keytype']) ?? '',
          public_key: publicKey,
          key: textOf(row['keydata']) ?? '{}',
        }
      },
    },
    {
      what: 'signatures of keys',
      from: {
        table: 'e2e_cross_signing_signatures',
        columns: ['user_id', 'key_id', 'target_user_id', 'target_device_id', 'signature'],
        key: ['user_id', 'target_user_id', 'target_device_id', 'key_id'],
      },
      into: 'key_signatures',
      options: {
        columns: {
          user_id: 'text',
          subject: 'text',
          signer_id: 'text',
          key_id: 'text',
          signature: 'text',
        },
        conflict: 'ignore',
      },
      toRow: (row) => ({
        user_id: textOf(row['target_user_id']) ?? '',
        subject: textOf(row['target_device_id']) ?? '',
        signer_id: textOf(row['user_id']) ?? '',
        key_id: textOf(row['key_id']) ?? '',
        signature: textOf(row['signature']) ?? '',
      }),
    },
  ]
}

function backups(): TableCopy[] {
  return [
    {
      what: 'key backups',
      from: {
        table: 'e2e_room_keys_versions',
        columns: ['user_id', 'version', 'algorithm', 'auth_data', 'deleted', 'etag'],
        extra: {
          count: `(SELECT COUNT(*) FROM e2e_room_keys k
            WHERE k.user_id = t.user_id AND CAST(k.version AS BIGINT) = t.version)`,
        },
        key: ['user_id', 'version'],
      },
      into: 'key_backup_versions',
      options: {
        columns: {
          user_id: 'text',
          version: 'integer',
          algorithm: 'text',
          auth_data: 'text',
          etag: 'integer',
          count: 'integer',
          is_deleted: 'integer',
        },
      },
      toRow: (row) => ({
        user_id: textOf(row['user_id']) ?? '',
        version: Number(row['version']),
        algorithm: textOf(row['algorithm']) ?? '',
        auth_data: textOf(row['auth_data']) ?? '{}',
        etag: numberOf(row['etag']) ?? 0,
        count: numberOf(row['count']) ?? 0,
        is_deleted: isTrue(row['deleted']) ? 1 : 0,
      }),
    },
    {
      what: 'keys in backups',
      from: {
        table: 'e2e_room_keys',
        columns: [
          'user_id',
          'version',
          'room_id',
          'session_id',
          'first_message_index',
          'forwarded_count',
          'is_verified',
          'session_data',
        ],
        key: ['user_id', 'version', 'room_id', 'session_id'],
      },
      into: 'key_backup_sessions',
      options: {
        columns: {
          user_id: 'text',
          version: 'integer',
          room_id: 'text',
          session_id: 'text',
          first_message_index: 'integer',
          forwarded_count: 'integer',
          is_verified: 'integer',
          session_data: 'text',
        },
        conflict: 'ignore',
      },
      toRow: (row) => ({
        user_id: textOf(row['user_id']) ?? '',
        version: Number(row['version']),
        room_id: textOf(row['room_id']) ?? '',
        session_id: textOf(row['session_id']) ?? '',
        first_message_index: numberOf(row['first_message_index']) ?? 0,
        forwarded_count: numberOf(row['forwarded_count']) ?? 0,
        is_verified: isTrue(row['is_verified']) ? 1 : 0,
        session_data: textOf(row['session_data']) ?? '{}',
      }),
    },
  ]
}

function messages(): TableCopy[] {
  return [
    {
      what: 'messages that wait for devices',
      from: {
        table: 'device_inbox',
        columns: ['user_id', 'device_id', 'stream_id', 'message_json'],
        key: ['user_id', 'device_id', 'stream_id'],
      },
      into: 'device_inbox',
      options: {
        columns: {
          user_id: 'text',
          device_id: 'text',
          stream_id: 'integer',
          sender: 'text',
          type: 'text',
          content: 'text',
        },
        conflict: 'ignore',
      },
      toRow: (row) => {
        const message = objectOf(row['message_json'])
        const { sender, type, content } = message ?? {}
        if (typeof sender !== 'string' || typeof type !== 'string') return undefined
        return {
          user_id: textOf(row['user_id']) ?? '',
          device_id: textOf(row['device_id']) ?? '',
          stream_id: numberOf(row['stream_id']) ?? 0,
          sender,
          type,
          content: JSON.stringify(isJsonObject(content) ? content : {}),
        }
      },
    },
    {
      what: 'messages to devices of other servers',
      from: {
        table: 'device_federation_outbox',
        columns: ['destination', 'stream_id', 'queued_ts', 'messages_json'],
        key: ['destination', 'stream_id'],
      },
      into: 'federation_outbox',
      options: {
        columns: {
          destination: 'text',
          edu_id: 'integer',
          edu_type: 'text',
          content: 'text',
          created_ts: 'integer',
        },
        conflict: 'ignore',
      },
      toRow: (row) => ({
        destination: textOf(row['destination']) ?? '',
        edu_id: numberOf(row['stream_id']) ?? 0,
        edu_type: 'm.direct_to_device',
        content: textOf(row['messages_json']) ?? '{}',
        created_ts: numberOf(row['queued_ts']) ?? 0,
      }),
    },
  ]
}
