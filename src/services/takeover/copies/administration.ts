import { numberOf, textOf } from '../../../storage/synapse/rows.js'
import type { TableCopy } from '../table-copy.js'

/** What administrators have decided. */
export const ADMINISTRATION_COPIES: readonly TableCopy[] = [
  {
    what: 'rooms that nobody may join',
    from: { table: 'blocked_rooms', columns: ['room_id', 'user_id'], key: ['room_id'] },
    into: 'blocked_rooms',
    options: { columns: { room_id: 'text', blocked_by: 'text' }, conflict: 'ignore' },
    toRow: (row) => ({ room_id: textOf(row['room_id']) ?? '', blocked_by: textOf(row['user_id']) ?? '' }),
  },
  {
    what: 'rate limits of single users',
    from: {
      table: 'ratelimit_override',
      columns: ['user_id', 'messages_per_second', 'burst_count'],
      key: ['user_id'],
    },
    into: 'ratelimit_overrides',
    options: {
      columns: { user_id: 'text', messages_per_second: 'integer', burst_count: 'integer' },
      conflict: 'ignore',
    },
    // There too, 0 or nothing means that the user is not limited.
    toRow: (row) => ({
      user_id: textOf(row['user_id']) ?? '',
      messages_per_second: numberOf(row['messages_per_second']) ?? 0,
      burst_count: numberOf(row['burst_count']) ?? 0,
    }),
  },
]
