import { numberOf, textOf } from '../../../storage/synapse/rows.js'
import { ofLocalUsers, type TableCopy } from '../table-copy.js'

/** What is known of other servers, and what they have yet to be told. */
export function serverCopies(serverName: string): readonly TableCopy[] {
  return [...destinations(), ...deviceLists(serverName), ...keys(), RECEIVED_EVENTS, RECEIVED_MESSAGES]
}

/** Events that have been taken from other servers, checked, and not worked off yet: nobody sends them again. */
const RECEIVED_EVENTS: TableCopy = {
  what: 'events of other servers that have yet to be judged',
  from: {
    table: 'federation_inbound_events_staging',
    columns: ['origin', 'room_id', 'event_id', 'received_ts', 'event_json'],
    key: ['received_ts', 'event_id', 'origin'],
  },
  into: 'federation_inbox',
  options: {
    columns: {
      room_nid: 'integer',
      event_id: 'text',
      origin: 'text',
      received_ts: 'integer',
      place: 'integer',
      json: 'text',
    },
    conflict: 'ignore',
  },
  toRow: (row, { roomNid }) => {
    const nid = roomNid(textOf(row['room_id']) ?? '')
    const json = textOf(row['event_json'])
    if (nid === undefined || json === undefined) return undefined
    return {
      room_nid: nid,
      event_id: textOf(row['event_id']) ?? '',
      origin: textOf(row['origin']) ?? '',
      received_ts: numberOf(row['received_ts']) ?? 0,
      place: 0,
      json,
    }
  },
}

/** Messages to devices that came from other servers: one that is sent again is known by its name. */
const RECEIVED_MESSAGES: TableCopy = {
  what: 'names of messages that other servers have sent',
  from: {
    table: 'device_federation_inbox',
    columns: ['origin', 'message_id', 'received_ts'],
    // Nobody sends for longer than that.
    where: 't.received_ts > (SELECT MAX(x.received_ts) FROM device_federation_inbox x) - 604800000',
    key: ['origin', 'message_id', 'received_ts'],
  },
  into: 'received_to_device',
  options: {
    columns: { origin: 'text', message_id: 'text', received_ts: 'integer' },
    conflict: 'ignore',
  },
  toRow: (row) => ({
    origin: textOf(row['origin']) ?? '',
    message_id: textOf(row['message_id']) ?? '',
    received_ts: numberOf(row['received_ts']) ?? 0,
  }),
}

function destinations(): TableCopy[] {
  return [
    {
      what: 'servers that do not answer',
      from: {
        table: 'destinations',
        columns: ['destination', 'retry_last_ts', 'retry_interval', 'failure_ts'],
        where: 't.retry_interval > 0 AND t.failure_ts IS NOT NULL',
        key: ['destination'],
      },
      into: 'destinations',
      options: {
        columns: {
          server_name: 'text',
          failures: 'integer',
          failing_since_ts: 'integer',
          last_failed_ts: 'integer',
          retry_at_ts: 'integer',
          last_error: 'text',
        },
      },
      toRow: (row) => ({
        server_name: textOf(row['destination']) ?? '',
        failures: 1,
        failing_since_ts: numberOf(row['failure_ts']) ?? 0,
        last_failed_ts: numberOf(row['retry_last_ts']) ?? 0,
        retry_at_ts: (numberOf(row['retry_last_ts']) ?? 0) + (numberOf(row['retry_interval']) ?? 0),
        last_error: 'It did not answer before this server took over',
      }),
    },
    {
      what: 'rooms of which servers have missed something',
      from: {
        table: 'destination_rooms',
        columns: ['destination', 'room_id', 'stream_ordering'],
        join: 'JOIN destinations d ON d.destination = t.destination',
        where: 't.stream_ordering > COALESCE(d.last_successful_stream_ordering, 0)',
        key: ['destination', 'room_id'],
      },
      into: 'missed_rooms',
      options: {
        columns: { destination: 'text', room_nid: 'integer', missed_at: 'integer', is_last: 'integer' },
      },
      toRow: (row, { roomNid }) => {
        const nid = roomNid(textOf(row['room_id']) ?? '')
        if (nid === undefined) return undefined
        return {
          destination: textOf(row['destination']) ?? '',
          room_nid: nid,
          missed_at: numberOf(row['stream_ordering']) ?? 0,
          is_last: 0,
        }
      },
    },
  ]
}

function deviceLists(serverName: string): TableCopy[] {
  const local = ofLocalUsers('t.user_id', serverName)
  const columns = {
    destination: 'text',
    user_id: 'text',
    device_id: 'text',
    stream_id: 'integer',
  } as const
  return [
    {
      what: 'changes of devices that servers have not been told',
      from: {
        table: 'device_lists_outbound_pokes',
        columns: ['destination', 'stream_id', 'user_id', 'device_id'],
        where: `NOT t.sent AND ${local.where}`,
        params: local.params,
        key: ['destination', 'stream_id', 'user_id', 'device_id'],
      },
      into: 'device_list_outbox',
      options: {
        columns,
        conflict: { key: ['destination', 'user_id', 'device_id'], update: ['stream_id'] },
      },
      toRow: (row) => ({
        destination: textOf(row['destination']) ?? '',
        user_id: textOf(row['user_id']) ?? '',
        device_id: textOf(row['device_id']) ?? '',
        stream_id: numberOf(row['stream_id']) ?? 0,
      }),
    },
    {
      what: 'changes of devices that servers were told last',
      from: {
        table: 'device_lists_outbound_last_success',
        columns: ['destination', 'user_id', 'stream_id'],
        key: ['destination', 'user_id', 'stream_id'],
      },
      into: 'device_list_sent',
      options: {
        columns: { destination: 'text', user_id: 'text', stream_id: 'integer' },
        conflict: { key: ['destination', 'user_id'], update: ['stream_id'] },
      },
      toRow: (row) => ({
        destination: textOf(row['destination']) ?? '',
        user_id: textOf(row['user_id']) ?? '',
        stream_id: numberOf(row['stream_id']) ?? 0,
      }),
    },
  ]
}

function keys(): TableCopy[] {
  return [
    {
      what: 'keys of servers',
      from: {
        table: 'server_signature_keys',
        columns: ['server_name', 'key_id', 'verify_key', 'ts_valid_until_ms'],
        key: ['server_name', 'key_id'],
      },
      into: 'server_keys',
      options: {
        columns: {
          server_name: 'text',
          key_id: 'text',
          public_key: 'text',
          valid_until_ts: 'integer',
        },
        conflict: 'ignore',
      },
      toRow: (row) => {
        const key = row['verify_key']
        if (!Buffer.isBuffer(key)) return undefined
        return {
          server_name: textOf(row['server_name']) ?? '',
          key_id: textOf(row['key_id']) ?? '',
          public_key: key.toString('base64').replace(/=+$/, ''),
          valid_until_ts: numberOf(row['ts_valid_until_ms']) ?? 0,
        }
      },
    },
    {
      what: 'what servers say of their keys',
      from: {
        table: 'server_keys_json',
        columns: ['server_name', 'key_id', 'from_server', 'ts_added_ms', 'ts_valid_until_ms', 'key_json'],
        where: 't.from_server = t.server_name',
        key: ['server_name', 'key_id', 'from_server'],
      },
      into: 'server_key_documents',
      options: {
        columns: {
          server_name: 'text',
          key_id: 'text',
          fetched_ts: 'integer',
          valid_until_ts: 'integer',
          document: 'text',
        },
        conflict: 'ignore',
      },
      toRow: (row) => ({
        server_name: textOf(row['server_name']) ?? '',
        key_id: textOf(row['key_id']) ?? '',
        fetched_ts: numberOf(row['ts_added_ms']) ?? 0,
        valid_until_ts: numberOf(row['ts_valid_until_ms']) ?? 0,
        document: textOf(row['key_json']) ?? '{}',
      }),
    },
  ]
}
