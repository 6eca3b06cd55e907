import { isTrue, numberOf, textOf } from '../../../storage/synapse/rows.js'
import type { JsonObject } from '../../../util/json.js'
import { objectOf } from '../json-column.js'
import { eventNidOf } from '../source-events.js'
import type { TableCopy } from '../table-copy.js'

const ACCOUNT_DATA = {
  into: 'account_data',
  options: {
    columns: { user_id: 'text', room_id: 'text', type: 'text', stream_id: 'integer', content: 'text' },
    conflict: 'ignore',
  },
} as const
const RECEIPT_TYPES: ReadonlySet<string> = new Set(['m.read', 'm.read.private'])

/** What users keep about rooms and themselves. */
export const ACCOUNT_DATA_COPIES: readonly TableCopy[] = [
  {
    what: 'account data',
    from: {
      table: 'account_data',
      columns: ['user_id', 'account_data_type', 'stream_id', 'content'],
      key: ['user_id', 'account_data_type'],
    },
    ...ACCOUNT_DATA,
    toRow: (row) => accountData(row, textOf(row['account_data_type']), objectOf(row['content'])),
  },
  {
    what: 'account data of rooms',
    from: {
      table: 'room_account_data',
      columns: ['user_id', 'room_id', 'account_data_type', 'stream_id', 'content'],
      key: ['user_id', 'room_id', 'account_data_type'],
    },
    ...ACCOUNT_DATA,
    toRow: (row) => accountData(row, textOf(row['account_data_type']), objectOf(row['content'])),
  },
]

/** Tags of rooms, which are account data of the room's. */
export function tagsCopy(dialect: 'sqlite' | 'postgres'): TableCopy {
  const tags =
    dialect === 'sqlite'
      ? 'json_group_object(x.tag, json(x.content))'
      : 'CAST(json_object_agg(x.tag, CAST(x.content AS json)) AS TEXT)'
  return {
    what: 'tags of rooms',
    from: {
      table: 'room_tags_revisions',
      columns: ['user_id', 'room_id', 'stream_id'],
      extra: {
        tags: `(SELECT ${tags} FROM room_tags x WHERE x.user_id = t.user_id AND x.room_id = t.room_id)`,
      },
      key: ['user_id', 'room_id'],
    },
    ...ACCOUNT_DATA,
    toRow: (row) => accountData(row, 'm.tag', { tags: objectOf(row['tags']) ?? {} }),
  }
}

/** What people have done in rooms, beside their events. */
export const ROOM_DATA_COPIES: readonly TableCopy[] = [
  {
    what: 'aliases',
    from: { table: 'room_aliases', columns: ['room_alias', 'room_id', 'creator'], key: ['room_alias'] },
    into: 'room_aliases',
    options: {
      columns: { alias: 'text', room_nid: 'integer', creator: 'text', created_ts: 'integer' },
    },
    toRow: (row, { roomNid, now }) => {
      const nid = roomNid(textOf(row['room_id']) ?? '')
      if (nid === undefined) return undefined
      return {
        alias: textOf(row['room_alias']) ?? '',
        room_nid: nid,
        creator: textOf(row['creator']) ?? null,
        created_ts: now,
      }
    },
  },
  {
    what: 'rooms of bridged networks',
    from: {
      table: 'appservice_room_list',
      columns: ['appservice_id', 'network_id', 'room_id'],
      key: ['appservice_id', 'network_id', 'room_id'],
    },
    into: 'appservice_rooms',
    options: { columns: { appservice_id: 'text', network_id: 'text', room_nid: 'integer' } },
    toRow: (row, { roomNid }) => {
      const nid = roomNid(textOf(row['room_id']) ?? '')
      if (nid === undefined) return undefined
      return {
        appservice_id: textOf(row['appservice_id']) ?? '',
        network_id: textOf(row['network_id']) ?? '',
        room_nid: nid,
      }
    },
  },
  {
    what: 'receipts',
    from: {
      table: 'receipts_linearized',
      columns: ['stream_id', 'room_id', 'receipt_type', 'user_id', 'event_id', 'data'],
      optional: ['thread_id'],
      extra: { event_position: 'e.stream_ordering' },
      join: 'LEFT JOIN events e ON e.event_id = t.event_id AND NOT e.outlier',
      key: ['stream_id', 'room_id', 'user_id', 'receipt_type', 'event_id'],
    },
    into: 'receipts',
    options: {
      columns: {
        room_nid: 'integer',
        user_id: 'text',
        receipt_type: 'text',
        thread_id: 'text',
        event_id: 'text',
        event_position: 'integer',
        ts: 'integer',
        stream_id: 'integer',
      },
      // Of several the newest.
      conflict: {
        key: ['room_nid', 'user_id', 'receipt_type', 'thread_id'],
        update: ['event_id', 'event_position', 'ts', 'stream_id'],
      },
    },
    toRow: (row, { roomNid, now }) => {
      const nid = roomNid(textOf(row['room_id']) ?? '')
      const type = textOf(row['receipt_type']) ?? ''
      if (nid === undefined || !RECEIPT_TYPES.has(type)) return undefined
      const ts = objectOf(row['data'])?.['ts']
      return {
        room_nid: nid,
        user_id: textOf(row['user_id']) ?? '',
        receipt_type: type,
        thread_id: textOf(row['thread_id']) ?? '',
        event_id: textOf(row['event_id']) ?? '',
        event_position: numberOf(row['event_position']) ?? null,
        ts: numberOf(ts) ?? now,
        stream_id: numberOf(row['stream_id']) ?? 0,
      }
    },
  },
  {
    what: 'highlights',
    from: {
      table: 'event_push_actions',
      columns: ['room_id', 'user_id', 'stream_ordering', 'event_id'],
      where: 't.highlight = 1 AND t.stream_ordering > 0',
      key: ['stream_ordering', 'user_id'],
    },
    into: 'event_highlights',
    options: {
      columns: { user_id: 'text', room_nid: 'integer', stream_ordering: 'integer' },
      conflict: 'ignore',
    },
    toRow: (row, { roomNid }) => {
      const nid = roomNid(textOf(row['room_id']) ?? '')
      if (nid === undefined) return undefined
      return {
        user_id: textOf(row['user_id']) ?? '',
        room_nid: nid,
        stream_ordering: numberOf(row['stream_ordering']) ?? 0,
      }
    },
  },
  ...transactionIds(),
  {
    what: 'subscriptions of threads',
    from: {
      table: 'thread_subscriptions',
      columns: [
        'user_id',
        'room_id',
        'event_id',
        'stream_id',
        'subscribed',
        'automatic',
        'unsubscribed_at_stream_ordering',
      ],
      key: ['user_id', 'room_id', 'event_id'],
    },
    into: 'thread_subscriptions',
    options: {
      columns: {
        user_id: 'text',
        room_nid: 'integer',
        root_id: 'text',
        stream_id: 'integer',
        subscribed: 'integer',
        automatic: 'integer',
        unsubscribed_at: 'integer',
      },
      conflict: 'ignore',
    },
    toRow: (row, { roomNid }) => {
      const nid = roomNid(textOf(row['room_id']) ?? '')
      if (nid === undefined) return undefined
      return {
        user_id: textOf(row['user_id']) ?? '',
        room_nid: nid,
        root_id: textOf(row['event_id']) ?? '',
        stream_id: numberOf(row['stream_id']) ?? 0,
        subscribed: isTrue(row['subscribed']) ? 1 : 0,
        automatic: isTrue(row['automatic']) ? 1 : 0,
        unsubscribed_at: numberOf(row['unsubscribed_at_stream_ordering']) ?? null,
      }
    },
  },
  ...eventReports(),
  ...otherReports(),
]

/** Older versions know the token that an event was sent with, and not the device. */
function transactionIds(): TableCopy[] {
  const columns = ['event_id', 'room_id', 'user_id', 'txn_id', 'inserted_ts']
  const position = { stream_ordering: 'e.stream_ordering' }
  const events = 'JOIN events e ON e.event_id = t.event_id'
  const copied = {
    into: 'event_txns',
    options: {
      columns: {
        user_id: 'text',
        device_id: 'text',
        room_nid: 'integer',
        txn_id: 'text',
        event_nid: 'integer',
        ts: 'integer',
      },
      conflict: 'ignore',
    },
    toRow: (row, { roomNid }) => {
      const nid = roomNid(textOf(row['room_id']) ?? '')
      if (nid === undefined) return undefined
      return {
        user_id: textOf(row['user_id']) ?? '',
        device_id: textOf(row['device_id']) ?? '',
        room_nid: nid,
        txn_id: textOf(row['txn_id']) ?? '',
        event_nid: eventNidOf(Number(row['stream_ordering'])),
        ts: numberOf(row['inserted_ts']) ?? 0,
      }
    },
  } as const satisfies Partial<TableCopy>
  return [
    {
      what: 'transaction IDs of events',
      from: {
        table: 'event_txn_id_device_id',
        columns: [...columns, 'device_id'],
        extra: position,
        join: events,
        key: ['event_id'],
      },
      ...copied,
    },
    {
      what: 'transaction IDs of events, by access token',
      from: {
        table: 'event_txn_id',
        columns,
        extra: { ...position, device_id: 'a.device_id' },
        join: `${events} JOIN access_tokens a ON a.id = t.token_id`,
        where: 'a.device_id IS NOT NULL',
        key: ['event_id'],
      },
      ...copied,
    },
  ]
}

function eventReports(): TableCopy[] {
  return [
    {
      what: 'reports of events',
      from: {
        table: 'event_reports',
        columns: ['id', 'received_ts', 'room_id', 'event_id', 'user_id', 'reason', 'content'],
        key: ['id'],
      },
      into: 'event_reports',
      options: {
        columns: {
          id: 'integer',
          received_ts: 'integer',
          room_id: 'text',
          event_id: 'text',
          reporter: 'text',
          reason: 'text',
          score: 'integer',
        },
      },
      toRow: (row) => ({
        id: numberOf(row['id']) ?? 0,
        received_ts: numberOf(row['received_ts']) ?? 0,
        room_id: textOf(row['room_id']) ?? '',
        event_id: textOf(row['event_id']) ?? '',
        reporter: textOf(row['user_id']) ?? '',
        reason: textOf(row['reason']) ?? null,
        score: numberOf(objectOf(row['content'])?.['score']) ?? null,
      }),
    },
  ]
}

function otherReports(): TableCopy[] {
  return [
    {
      what: 'reports of rooms',
      from: {
        table: 'room_reports',
        columns: ['id', 'received_ts', 'room_id', 'user_id', 'reason'],
        key: ['id'],
      },
      into: 'room_reports',
      options: {
        columns: {
          id: 'integer',
          received_ts: 'integer',
          room_id: 'text',
          reporter: 'text',
          reason: 'text',
        },
      },
      toRow: (row) => ({
        id: numberOf(row['id']) ?? 0,
        received_ts: numberOf(row['received_ts']) ?? 0,
        room_id: textOf(row['room_id']) ?? '',
        reporter: textOf(row['user_id']) ?? '',
        reason: textOf(row['reason']) ?? '',
      }),
    },
    {
      what: 'reports of users',
      from: {
        table: 'user_reports',
        columns: ['id', 'received_ts', 'target_user_id', 'user_id', 'reason'],
        key: ['id'],
      },
      into: 'user_reports',
      options: {
        columns: {
          id: 'integer',
          received_ts: 'integer',
          user_id: 'text',
          reporter: 'text',
          reason: 'text',
        },
      },
      toRow: (row) => ({
        id: numberOf(row['id']) ?? 0,
        received_ts: numberOf(row['received_ts']) ?? 0,
        user_id: textOf(row['target_user_id']) ?? '',
        reporter: textOf(row['user_id']) ?? '',
        reason: textOf(row['reason']) ?? '',
      }),
    },
  ]
}

function accountData(
  row: Record<string, unknown>,
  type: string | undefined,
  content: JsonObject | undefined,
) {
  if (type === undefined || content === undefined) return undefined
  return {
    user_id: textOf(row['user_id']) ?? '',
    room_id: textOf(row['room_id']) ?? '',
    type,
    stream_id: numberOf(row['stream_id']) ?? 0,
    content: JSON.stringify(content),
  }
}
