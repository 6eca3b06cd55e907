import { hashToken } from '../../src/services/accounts/token-format.js'
import type { Query } from '../../src/storage/database.js'
import type { LinearRoom } from './linear-room.js'
import { SERVER_NAME } from './homeserver.js'
import type { SynapseDatabase } from './synapse-database.js'

export const ALICE = `@alice:${SERVER_NAME}`
export const CHARLIE = `@charlie:${SERVER_NAME}`
const PHONE = { user_id: ALICE, device_id: 'PHONE' }

/**
 * Fills a database with two users, a room, and some of everything that comes over beside rooms. What a version of the
 * schema has no place for is left out.
 */
export async function tellStory(source: SynapseDatabase, room: LinearRoom): Promise<void> {
  await source.addUser('charlie', { token: 'syt_charlie', password_hash: '$2b$04$x', admin: 1 })
  await source.addUser('alice', { token: 'syt_alice', deviceId: 'PHONE' })
  await source.addUser('dora', { locked: 1, suspended: 1 })
  await source.addRoom({ roomId: room.roomId, version: room.rules.version, events: room.events })
  await addAccountData(source, room)
  await addKeys(source, room)
  await addSettings(source, room)
}

async function addAccountData(source: SynapseDatabase, { roomId, events }: LinearRoom): Promise<void> {
  await source.run(`UPDATE profiles SET displayname = 'Alice A.' WHERE user_id = 'alice'`)
  if ((await source.columnsOf('profiles')).has('fields'))
    await source.run(`UPDATE profiles SET fields = '{"m.tz":"Europe/Berlin"}' WHERE user_id = 'alice'`)
  await source.run(
    `UPDATE users SET consent_version = '1.0', consent_server_notice_sent = '0.9' WHERE name = '${ALICE}'`,
  )
  if ((await source.columnsOf('users')).has('consent_ts'))
    await source.run(`UPDATE users SET consent_ts = 7 WHERE name = '${ALICE}'`)
  await source.insert('user_threepids', {
    user_id: ALICE,
    medium: 'email',
    address: 'alice@example.org',
    validated_at: 5,
    added_at: 6,
  })
  await source.insert('user_threepid_id_server', {
    user_id: ALICE,
    medium: 'email',
    address: 'alice@example.org',
    id_server: 'identity.example.org',
  })
  await source.insert('user_external_ids', {
    auth_provider: 'oidc-club',
    external_id: '17',
    user_id: ALICE,
  })
  await source.insert('device_auth_providers', {
    ...PHONE,
    auth_provider_id: 'oidc-club',
    auth_provider_session_id: 's1',
  })
  await source.insert('user_filters', {
    user_id: 'alice',
    filter_id: 0,
    filter_json: '{"room":{}}',
    full_user_id: ALICE,
  })
  await source.insert('blocked_rooms', { room_id: '!blocked:elsewhere', user_id: ALICE })
  await source.insert('ratelimit_override', {
    user_id: ALICE,
    messages_per_second: 0,
    burst_count: null,
  })
  await source.insert('registration_tokens', { token: 'welcome', uses_allowed: 3, pending: 1, completed: 1 })
  await source.insert('account_data', {
    user_id: ALICE,
    account_data_type: 'm.direct',
    stream_id: 2,
    content: '{}',
  })
  await source.insert('room_aliases', { room_alias: `#a:${SERVER_NAME}`, room_id: roomId, creator: ALICE })
  await source.insert('receipts_linearized', {
    stream_id: 4,
    room_id: roomId,
    receipt_type: 'm.read',
    user_id: ALICE,
    event_id: events.at(-1)!.eventId,
    data: '{"ts":9}',
  })
  await source.insert('event_reports', {
    id: 1,
    received_ts: 8,
    room_id: roomId,
    event_id: events.at(-1)!.eventId,
    user_id: ALICE,
    reason: 'odd',
    content: '{"score":-5}',
  })
  const txn = {
    event_id: events.at(-1)!.eventId,
    room_id: roomId,
    user_id: ALICE,
    txn_id: 't1',
    inserted_ts: 7,
  }
  if ((await source.columnsOf('event_txn_id')).size > 0)
    await source.insert('event_txn_id', { ...txn, token_id: 2 })
  if ((await source.columnsOf('event_txn_id_device_id')).size > 0)
    await source.insert('event_txn_id_device_id', { ...txn, device_id: 'PHONE' })
}

async function addKeys(source: SynapseDatabase, { roomId }: LinearRoom): Promise<void> {
  await source.insert('device_lists_stream', { ...PHONE, stream_id: 3 })
  await source.insert('e2e_device_keys_json', { ...PHONE, ts_added_ms: 1, key_json: '{"keys":{}}' })
  const key = { ...PHONE, algorithm: 'signed_curve25519' }
  await source.insert('e2e_one_time_keys_json', {
    ...key,
    ts_added_ms: 1,
    key_id: 'AAAA',
    key_json: '{"key":"a"}',
  })
  await source.insert('e2e_fallback_keys_json', { ...key, key_id: 'FALL', key_json: '{"key":"f"}', used: 1 })
  await source.insert('e2e_cross_signing_keys', {
    user_id: ALICE,
    keytype: 'master',
    keydata: JSON.stringify({ user_id: ALICE, usage: ['master'], keys: { 'ed25519:M': 'M' } }),
    stream_id: 2,
  })
  await source.insert('e2e_cross_signing_signatures', {
    user_id: ALICE,
    key_id: 'ed25519:PHONE',
    target_user_id: ALICE,
    target_device_id: 'M',
    signature: 's',
  })
  await source.insert('e2e_room_keys_versions', {
    user_id: ALICE,
    version: 1,
    algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2',
    auth_data: '{}',
    deleted: 0,
    etag: 4,
  })
  await source.insert('e2e_room_keys', {
    user_id: ALICE,
    room_id: roomId,
    session_id: 'S',
    version: 1,
    first_message_index: 0,
    forwarded_count: 0,
    is_verified: 1,
    session_data: '{}',
  })
  await source.insert('device_inbox', {
    ...PHONE,
    stream_id: 7,
    message_json: JSON.stringify({ sender: CHARLIE, type: 'm.test', content: { n: 1 } }),
  })
  await source.insert('device_federation_inbox', { origin: 'far.test', message_id: 'm1', received_ts: 11 })
}

async function addSettings(source: SynapseDatabase, { roomId }: LinearRoom): Promise<void> {
  await source.insert('pushers', {
    id: 1,
    user_name: ALICE,
    access_token: 2,
    profile_tag: '',
    kind: 'http',
    app_id: 'app',
    app_display_name: 'App',
    device_display_name: 'Phone',
    pushkey: 'key',
    ts: 1,
    lang: 'en',
    data: '{}',
    last_stream_ordering: 3,
    enabled: null,
    device_id: null,
  })
  await source.insert('push_rules', {
    id: 1,
    user_name: ALICE,
    rule_id: 'global/content/cheese',
    priority_class: 4,
    priority: 0,
    conditions: '[{"kind":"event_match","key":"content.body","pattern":"cheese"}]',
    actions: '["notify"]',
  })
  await source.insert('room_tags_revisions', { user_id: ALICE, room_id: roomId, stream_id: 3 })
  await source.insert('room_tags', { user_id: ALICE, room_id: roomId, tag: 'm.favourite', content: '{}' })
  await source.insert('destinations', {
    destination: 'far.test',
    retry_last_ts: 10,
    retry_interval: 20,
    failure_ts: 5,
    last_successful_stream_ordering: 1,
  })
  await source.insert('appservice_room_list', { appservice_id: 'bridge', network_id: 'irc', room_id: roomId })
  await source.insert('application_services_state', {
    as_id: 'bridge',
    state: 'up',
    read_receipt_stream_id: 3,
    presence_stream_id: 1,
    to_device_stream_id: 2,
    device_list_stream_id: 2,
  })
}

/** What there is of the story in a database of ours, table by table, as far as versions may differ in it. */
export async function readStory(q: Query): Promise<Record<string, unknown>> {
  const one = (sql: string): Promise<unknown> => q.first(sql)
  const [token] = await q.all(`SELECT user_id, device_id FROM access_tokens WHERE token_hash = ?`, [
    hashToken('syt_alice'),
  ])
  return {
    token,
    dora: await one(`SELECT is_locked, is_suspended FROM users WHERE user_id LIKE '@dora%'`),
    profile: await one(`SELECT display_name, fields FROM profiles WHERE user_id LIKE '@alice%'`),
    consent: await one('SELECT user_id, version, ts FROM user_consents'),
    policyNotice: await one('SELECT user_id, version FROM policy_notices'),
    threepid: await one('SELECT address, validated_ts, added_ts FROM user_threepids'),
    bound: await one('SELECT user_id, medium, address, id_server FROM identity_bindings'),
    external: await one('SELECT auth_provider, external_id, user_id FROM user_external_ids'),
    providerSession: await one('SELECT device_id, provider, provider_session FROM device_provider_sessions'),
    filter: await one('SELECT user_id, filter_id, json FROM filters'),
    blocked: await one('SELECT room_id, blocked_by FROM blocked_rooms'),
    ratelimit: await one('SELECT user_id, messages_per_second, burst_count FROM ratelimit_overrides'),
    registration: await one('SELECT token, uses_allowed, pending, completed FROM registration_tokens'),
    txn: await one('SELECT user_id, device_id, txn_id, ts FROM event_txns'),
    receipt: await one('SELECT receipt_type, user_id, ts FROM receipts'),
    report: await one('SELECT reporter, reason, score FROM event_reports'),
    oneTimeKey: await one('SELECT device_id, key_id, key FROM one_time_keys'),
    fallbackKey: await one('SELECT device_id, key_id, key, used FROM fallback_keys'),
    crossSigning: await one('SELECT usage, public_key FROM cross_signing_keys'),
    signature: await one('SELECT subject, signer_id, key_id, signature FROM key_signatures'),
    backup: await one('SELECT version, etag, count FROM key_backup_versions'),
    backedUp: await one('SELECT version, session_id, is_verified FROM key_backup_sessions'),
    inbox: await one('SELECT device_id, sender, type, content FROM device_inbox'),
    received: await one('SELECT origin, message_id FROM received_to_device'),
    pusher: await one('SELECT user_id, device_id, is_enabled, pushkey FROM pushers'),
    tags: await one(`SELECT content FROM account_data WHERE type = 'm.tag'`),
    destination: await one('SELECT server_name, last_failed_ts, retry_at_ts FROM destinations'),
    published: await one(
      'SELECT a.appservice_id, a.network_id FROM appservice_rooms a JOIN rooms r ON r.room_nid = a.room_nid',
    ),
    appservice: await one('SELECT appservice_id, positions FROM appservice_state'),
  }
}
