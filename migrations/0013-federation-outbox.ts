import type { Knex } from 'knex'

/** What is still to be told to other servers, and what is known of their users' devices. */
export const name = '0013-federation-outbox'

const TABLES = [
  'received_to_device',
  'remote_devices',
  'remote_device_lists',
  'device_list_sent',
  'device_list_outbox',
  'federation_outbox',
  'missed_rooms',
  'federation_positions',
]

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  for (const statement of [...ofSending(clustered), ...ofRemoteDevices(clustered)]) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of TABLES) await knex.raw(`DROP TABLE ${table}`)
}

function ofSending(clustered: string): string[] {
  return [
    // Up to where streams have been handed to the queues of destinations, or written down for them.
    `CREATE TABLE federation_positions (
      name TEXT PRIMARY KEY,
      position BIGINT NOT NULL
    )${clustered}`,

    // Rooms of which a destination has not been told something. missed_at: the stream ordering of the newest event that
    // is known to be missed. is_last: the destination has left the room with that event, and gets none after it.
    `CREATE TABLE missed_rooms (
      destination TEXT NOT NULL,
      room_nid BIGINT NOT NULL,
      missed_at BIGINT NOT NULL,
      is_last SMALLINT NOT NULL,
      PRIMARY KEY (destination, room_nid)
    )${clustered}`,
    `CREATE INDEX missed_rooms_room ON missed_rooms (room_nid)`,

    // Messages to devices of other servers, until those have them. edu_id: of the stream of such messages.
    `CREATE TABLE federation_outbox (
      destination TEXT NOT NULL,
      edu_id BIGINT NOT NULL,
      edu_type TEXT NOT NULL,
      content TEXT NOT NULL,
      created_ts BIGINT NOT NULL,
      PRIMARY KEY (destination, edu_id)
    )${clustered}`,
    `CREATE INDEX federation_outbox_ts ON federation_outbox (created_ts)`,
    `CREATE INDEX federation_outbox_id ON federation_outbox (edu_id)`,

    // Devices of local users that have changed, of which a destination has not been told; device_id '' stands for the
    // user's cross-signing keys. What there is to tell is looked up when it is sent.
    `CREATE TABLE device_list_outbox (
      destination TEXT NOT NULL,
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      stream_id BIGINT NOT NULL,
      PRIMARY KEY (destination, user_id, device_id)
    )${clustered}`,
    `CREATE INDEX device_list_outbox_stream ON device_list_outbox (destination, stream_id)`,
    // The last change of a user's devices that a destination was told.
    `CREATE TABLE device_list_sent (
      destination TEXT NOT NULL,
      user_id TEXT NOT NULL,
      stream_id BIGINT NOT NULL,
      PRIMARY KEY (destination, user_id)
    )${clustered}`,
  ]
}

function ofRemoteDevices(clustered: string): string[] {
  return [
    // Device lists of other servers' users that we follow. stream_id: as their server counts, NULL where it did not say;
    // fetched_at: the position of our events stream before the list was fetched. is_stale: a change was missed.
    `CREATE TABLE remote_device_lists (
      user_id TEXT PRIMARY KEY,
      stream_id TEXT,
      fetched_at BIGINT NOT NULL,
      is_stale SMALLINT NOT NULL
    )${clustered}`,
    `CREATE INDEX remote_device_lists_stale ON remote_device_lists (user_id) WHERE is_stale = 1`,
    // keys: JSON as the device has signed it, without "unsigned".
    `CREATE TABLE remote_devices (
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      keys TEXT NOT NULL,
      display_name TEXT,
      PRIMARY KEY (user_id, device_id)
    )${clustered}`,

    // Which messages to devices have come, so that one that comes again is not delivered twice.
    `CREATE TABLE received_to_device (
      origin TEXT NOT NULL,
      message_id TEXT NOT NULL,
      received_ts BIGINT NOT NULL,
      PRIMARY KEY (origin, message_id)
    )${clustered}`,
    `CREATE INDEX received_to_device_ts ON received_to_device (received_ts)`,
  ]
}
