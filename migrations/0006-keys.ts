import type { Knex } from 'knex'

/** Keys of end-to-end encryption: of devices, of users, their signatures, backups of room keys, dehydrated devices. */
export const name = '0006-keys'

const TABLES = [
  'dehydrated_devices',
  'key_backup_sessions',
  'key_backup_versions',
  'user_signature_changes',
  'key_signatures',
  'cross_signing_keys',
  'fallback_keys',
  'one_time_keys',
  'device_keys',
]

export async function up(knex: Knex): Promise<void> {
  const clustered = knex.client.config.client === 'sqlite3' ? ' WITHOUT ROWID' : ''
  for (const statement of [...ofDevices(clustered), ...ofUsers(clustered)]) await knex.raw(statement)
}

export async function down(knex: Knex): Promise<void> {
  for (const table of TABLES) await knex.raw(`DROP TABLE ${table}`)
}

function ofDevices(clustered: string): string[] {
  return [
    // keys: JSON as the device has signed it, without "unsigned".
    `CREATE TABLE device_keys (
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      keys TEXT NOT NULL,
      PRIMARY KEY (user_id, device_id)
    )${clustered}`,

    // A key that has been handed out stays for some time, so that an upload that is repeated does not bring it back.
    `CREATE TABLE one_time_keys (
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      algorithm TEXT NOT NULL,
      key_id TEXT NOT NULL,
      key TEXT NOT NULL,
      uploaded_ts BIGINT NOT NULL,
      claimed_ts BIGINT,
      PRIMARY KEY (user_id, device_id, algorithm, key_id)
    )${clustered}`,
    `CREATE INDEX one_time_keys_unclaimed ON one_time_keys (user_id, device_id, algorithm, uploaded_ts, key_id)
      WHERE claimed_ts IS NULL`,
    `CREATE INDEX one_time_keys_claimed ON one_time_keys (user_id, device_id, claimed_ts)
      WHERE claimed_ts IS NOT NULL`,

    `CREATE TABLE fallback_keys (
      user_id TEXT NOT NULL,
      device_id TEXT NOT NULL,
      algorithm TEXT NOT NULL,
      key_id TEXT NOT NULL,
      key TEXT NOT NULL,
      used SMALLINT NOT NULL,
      PRIMARY KEY (user_id, device_id, algorithm)
    )${clustered}`,

    // The device that waits for its user's next login; it is in devices as well. data: JSON, nobody's business here.
    `CREATE TABLE dehydrated_devices (
      user_id TEXT PRIMARY KEY,
      device_id TEXT NOT NULL,
      data TEXT NOT NULL
    )${clustered}`,
  ]
}

function ofUsers(clustered: string): string[] {
  return [
    // usage: master, self_signing or user_signing. public_key: Base64 as in the name of the key.
    `CREATE TABLE cross_signing_keys (
      user_id TEXT NOT NULL,
      usage TEXT NOT NULL,
      public_key TEXT NOT NULL,
      key TEXT NOT NULL,
      PRIMARY KEY (user_id, usage)
    )${clustered}`,

    // What came after the key itself. subject: the device ID or public key of the user's that is signed.
    `CREATE TABLE key_signatures (
      user_id TEXT NOT NULL,
      subject TEXT NOT NULL,
      signer_id TEXT NOT NULL,
      key_id TEXT NOT NULL,
      signature TEXT NOT NULL,
      PRIMARY KEY (user_id, subject, signer_id, key_id)
    )${clustered}`,
    `CREATE INDEX key_signatures_signer ON key_signatures (signer_id, key_id)`,

    // Whose key a user last signed, and where in the stream of device lists: only they are told.
    `CREATE TABLE user_signature_changes (
      signer_id TEXT NOT NULL,
      user_id TEXT NOT NULL,
      stream_id BIGINT NOT NULL,
      PRIMARY KEY (signer_id, user_id)
    )${clustered}`,
    `CREATE INDEX user_signature_changes_stream ON user_signature_changes (stream_id)`,

    // Deleted versions keep their row: their numbers are not used again.
    `CREATE TABLE key_backup_versions (
      user_id TEXT NOT NULL,
      version BIGINT NOT NULL,
      algorithm TEXT NOT NULL,
      auth_data TEXT NOT NULL,
      etag BIGINT NOT NULL,
      count BIGINT NOT NULL,
      is_deleted SMALLINT NOT NULL,
      PRIMARY KEY (user_id, version)
    )${clustered}`,
    `CREATE TABLE key_backup_sessions (
      user_id TEXT NOT NULL,
      version BIGINT NOT NULL,
      room_id TEXT NOT NULL,
      session_id TEXT NOT NULL,
      first_message_index BIGINT NOT NULL,
      forwarded_count BIGINT NOT NULL,
      is_verified SMALLINT NOT NULL,
      session_data TEXT NOT NULL,
      PRIMARY KEY (user_id, version, room_id, session_id)
    )${clustered}`,
  ]
}
