/** The newest version of the schema that tests make; the oldest is 73. */
export const NEWEST = 94

/**
 * The tables of a Synapse that tests fill, with their columns. `@80`: there since version 80 of the schema; `@-83`: gone
 * with version 83. Truth is a number.
 */
const TABLES: Readonly<Record<string, readonly string[]>> = {
  schema_version: ['version INTEGER'],
  schema_compat_version: ['compat_version INTEGER'],
  users: [
    'name TEXT PRIMARY KEY',
    'password_hash TEXT',
    'creation_ts BIGINT',
    'admin SMALLINT NOT NULL DEFAULT 0',
    'is_guest SMALLINT NOT NULL DEFAULT 0',
    'appservice_id TEXT',
    'user_type TEXT',
    'deactivated SMALLINT NOT NULL DEFAULT 0',
    'shadow_banned BOOLEAN',
    'consent_version TEXT',
    'consent_server_notice_sent TEXT',
    'consent_ts BIGINT @77',
    'approved BOOLEAN',
    'locked BOOLEAN NOT NULL DEFAULT 0 @80',
    'suspended BOOLEAN NOT NULL DEFAULT 0 @85',
  ],
  erased_users: ['user_id TEXT NOT NULL'],
  profiles: [
    'user_id TEXT NOT NULL UNIQUE',
    'displayname TEXT',
    'avatar_url TEXT',
    'full_user_id TEXT @76',
    'fields JSONB @88',
  ],
  user_threepids: [
    'user_id TEXT NOT NULL',
    'medium TEXT NOT NULL',
    'address TEXT NOT NULL',
    'validated_at BIGINT NOT NULL',
    'added_at BIGINT NOT NULL',
  ],
  user_threepid_id_server: [
    'user_id TEXT NOT NULL',
    'medium TEXT NOT NULL',
    'address TEXT NOT NULL',
    'id_server TEXT NOT NULL',
  ],
  device_auth_providers: [
    'user_id TEXT NOT NULL',
    'device_id TEXT NOT NULL',
    'auth_provider_id TEXT NOT NULL',
    'auth_provider_session_id TEXT NOT NULL',
  ],
  user_external_ids: ['auth_provider TEXT NOT NULL', 'external_id TEXT NOT NULL', 'user_id TEXT NOT NULL'],
  user_filters: [
    'user_id TEXT NOT NULL',
    'filter_id BIGINT NOT NULL',
    'filter_json BYTEA NOT NULL',
    'full_user_id TEXT @76',
  ],
  registration_tokens: [
    'token TEXT NOT NULL',
    'uses_allowed INT',
    'pending INT NOT NULL',
    'completed INT NOT NULL',
    'expiry_time BIGINT',
  ],
  devices: [
    'user_id TEXT NOT NULL',
    'device_id TEXT NOT NULL',
    'display_name TEXT',
    'last_seen BIGINT',
    'ip TEXT',
    'user_agent TEXT',
    'hidden BOOLEAN DEFAULT 0',
  ],
  device_lists_stream: ['stream_id BIGINT NOT NULL', 'user_id TEXT NOT NULL', 'device_id TEXT NOT NULL'],
  access_tokens: [
    'id BIGINT PRIMARY KEY',
    'user_id TEXT NOT NULL',
    'device_id TEXT',
    'token TEXT NOT NULL UNIQUE',
    'valid_until_ms BIGINT',
    'puppets_user_id TEXT',
    'last_validated BIGINT',
    'refresh_token_id BIGINT',
    'used BOOLEAN',
  ],
  refresh_tokens: [
    'id BIGINT PRIMARY KEY',
    'user_id TEXT NOT NULL',
    'device_id TEXT NOT NULL',
    'token TEXT NOT NULL',
    'next_token_id BIGINT',
    'expiry_ts BIGINT',
    'ultimate_session_expiry_ts BIGINT',
  ],
  pushers: [
    'id BIGINT PRIMARY KEY',
    'user_name TEXT NOT NULL',
    'access_token BIGINT',
    'profile_tag TEXT NOT NULL',
    'kind TEXT NOT NULL',
    'app_id TEXT NOT NULL',
    'app_display_name TEXT NOT NULL',
    'device_display_name TEXT NOT NULL',
    'pushkey TEXT NOT NULL',
    'ts BIGINT NOT NULL',
    'lang TEXT',
    'data TEXT',
    'last_stream_ordering INTEGER',
    'last_success BIGINT',
    'failing_since BIGINT',
    'enabled BOOLEAN',
    'device_id TEXT',
  ],
  e2e_device_keys_json: [
    'user_id TEXT NOT NULL',
    'device_id TEXT NOT NULL',
    'ts_added_ms BIGINT NOT NULL',
    'key_json TEXT NOT NULL',
  ],
  e2e_one_time_keys_json: [
    'user_id TEXT NOT NULL',
    'device_id TEXT NOT NULL',
    'algorithm TEXT NOT NULL',
    'key_id TEXT NOT NULL',
    'ts_added_ms BIGINT NOT NULL',
    'key_json TEXT NOT NULL',
  ],
  e2e_fallback_keys_json: [
    'user_id TEXT NOT NULL',
    'device_id TEXT NOT NULL',
    'algorithm TEXT NOT NULL',
    'key_id TEXT NOT NULL',
    'key_json TEXT NOT NULL',
    'used BOOLEAN NOT NULL DEFAULT 0',
  ],
  e2e_cross_signing_keys: [
    'user_id TEXT NOT NULL',
    'keytype TEXT NOT NULL',
    'keydata TEXT NOT NULL',
    'stream_id BIGINT NOT NULL',
  ],
  e2e_cross_signing_signatures: [
    'user_id TEXT NOT NULL',
    'key_id TEXT NOT NULL',
    'target_user_id TEXT NOT NULL',
    'target_device_id TEXT NOT NULL',
    'signature TEXT NOT NULL',
  ],
  e2e_room_keys_versions: [
    'user_id TEXT NOT NULL',
    'version BIGINT NOT NULL',
    'algorithm TEXT NOT NULL',
    'auth_data TEXT NOT NULL',
    'deleted SMALLINT NOT NULL DEFAULT 0',
    'etag BIGINT',
  ],
  e2e_room_keys: [
    'user_id TEXT NOT NULL',
    'room_id TEXT NOT NULL',
    'session_id TEXT NOT NULL',
    'version BIGINT NOT NULL',
    'first_message_index INT',
    'forwarded_count INT',
    'is_verified BOOLEAN',
    'session_data TEXT NOT NULL',
  ],
  device_inbox: [
    'user_id TEXT NOT NULL',
    'device_id TEXT NOT NULL',
    'stream_id BIGINT NOT NULL',
    'message_json TEXT NOT NULL',
  ],
  device_federation_inbox: [
    'origin TEXT NOT NULL',
    'message_id TEXT NOT NULL',
    'received_ts BIGINT NOT NULL',
  ],
  push_rules: [
    'id BIGINT PRIMARY KEY',
    'user_name TEXT NOT NULL',
    'rule_id TEXT NOT NULL',
    'priority_class SMALLINT NOT NULL',
    'priority INTEGER NOT NULL DEFAULT 0',
    'conditions TEXT NOT NULL',
    'actions TEXT NOT NULL',
  ],
  push_rules_enable: [
    'id BIGINT PRIMARY KEY',
    'user_name TEXT NOT NULL',
    'rule_id TEXT NOT NULL',
    'enabled SMALLINT',
  ],
  account_data: [
    'user_id TEXT NOT NULL',
    'account_data_type TEXT NOT NULL',
    'stream_id BIGINT NOT NULL',
    'content TEXT NOT NULL',
  ],
  room_tags: ['user_id TEXT NOT NULL', 'room_id TEXT NOT NULL', 'tag TEXT NOT NULL', 'content TEXT NOT NULL'],
  room_tags_revisions: ['user_id TEXT NOT NULL', 'room_id TEXT NOT NULL', 'stream_id BIGINT NOT NULL'],
  receipts_linearized: [
    'stream_id BIGINT NOT NULL',
    'room_id TEXT NOT NULL',
    'receipt_type TEXT NOT NULL',
    'user_id TEXT NOT NULL',
    'event_id TEXT NOT NULL',
    'data TEXT NOT NULL',
    'thread_id TEXT',
  ],
  event_reports: [
    'id BIGINT PRIMARY KEY',
    'received_ts BIGINT NOT NULL',
    'room_id TEXT NOT NULL',
    'event_id TEXT NOT NULL',
    'user_id TEXT NOT NULL',
    'reason TEXT',
    'content TEXT',
  ],
  blocked_rooms: ['room_id TEXT NOT NULL', 'user_id TEXT NOT NULL'],
  ratelimit_override: ['user_id TEXT NOT NULL', 'messages_per_second BIGINT', 'burst_count BIGINT'],
  background_updates: [
    'update_name TEXT NOT NULL',
    'progress_json TEXT NOT NULL',
    'depends_on TEXT',
    'ordering INT NOT NULL DEFAULT 0',
  ],
  login_tokens: ['token TEXT PRIMARY KEY', 'user_id TEXT NOT NULL', 'expiry_ts BIGINT NOT NULL'],
  destinations: [
    'destination TEXT PRIMARY KEY',
    'retry_last_ts BIGINT',
    'retry_interval INTEGER',
    'failure_ts BIGINT',
    'last_successful_stream_ordering BIGINT',
  ],
  application_services_state: [
    'as_id TEXT PRIMARY KEY',
    'state VARCHAR(5)',
    'read_receipt_stream_id INTEGER',
    'presence_stream_id INTEGER',
    'to_device_stream_id BIGINT',
    'device_list_stream_id BIGINT',
  ],
  appservice_room_list: ['appservice_id TEXT NOT NULL', 'network_id TEXT NOT NULL', 'room_id TEXT NOT NULL'],
  application_services_txns: ['as_id TEXT NOT NULL', 'txn_id INTEGER NOT NULL', 'event_ids TEXT NOT NULL'],
  appservice_stream_position: ["Lock CHAR(1) NOT NULL DEFAULT 'X'", 'stream_ordering BIGINT'],
  rooms: [
    'room_id TEXT PRIMARY KEY NOT NULL',
    'is_public BOOL',
    'creator TEXT',
    'room_version TEXT',
    'has_auth_chain_index BOOLEAN',
  ],
  room_aliases: ['room_alias TEXT NOT NULL UNIQUE', 'room_id TEXT NOT NULL', 'creator TEXT'],
  partial_state_rooms: ['room_id TEXT PRIMARY KEY'],
  events: [
    'stream_ordering INTEGER PRIMARY KEY',
    'topological_ordering BIGINT NOT NULL',
    'event_id TEXT NOT NULL UNIQUE',
    'type TEXT NOT NULL',
    'room_id TEXT NOT NULL',
    'processed BOOL NOT NULL',
    'outlier BOOL NOT NULL',
    'depth BIGINT NOT NULL DEFAULT 0',
    'origin_server_ts BIGINT',
    'received_ts BIGINT',
    'sender TEXT',
    'state_key TEXT',
    'rejection_reason TEXT',
  ],
  event_json: [
    'event_id TEXT NOT NULL UNIQUE',
    'room_id TEXT NOT NULL',
    'internal_metadata TEXT NOT NULL',
    'json TEXT NOT NULL',
    'format_version INTEGER',
  ],
  event_txn_id: [
    'event_id TEXT NOT NULL @-83',
    'room_id TEXT NOT NULL @-83',
    'user_id TEXT NOT NULL @-83',
    'token_id BIGINT NOT NULL @-83',
    'txn_id TEXT NOT NULL @-83',
    'inserted_ts BIGINT NOT NULL @-83',
  ],
  event_txn_id_device_id: [
    'event_id TEXT NOT NULL @74',
    'room_id TEXT NOT NULL @74',
    'user_id TEXT NOT NULL @74',
    'device_id TEXT NOT NULL @74',
    'txn_id TEXT NOT NULL @74',
    'inserted_ts BIGINT NOT NULL @74',
  ],
  event_to_state_groups: ['event_id TEXT NOT NULL UNIQUE', 'state_group BIGINT NOT NULL'],
  rejections: ['event_id TEXT NOT NULL UNIQUE', 'reason TEXT NOT NULL', 'last_check TEXT NOT NULL'],
  redactions: [
    'event_id TEXT NOT NULL UNIQUE',
    'redacts TEXT NOT NULL',
    'have_censored BOOL NOT NULL DEFAULT 0',
    'recheck BOOLEAN NOT NULL DEFAULT 1 @94',
  ],
  current_state_events: [
    'event_id TEXT NOT NULL UNIQUE',
    'room_id TEXT NOT NULL',
    'type TEXT NOT NULL',
    'state_key TEXT NOT NULL',
    'membership TEXT',
  ],
  room_memberships: [
    'event_id TEXT NOT NULL UNIQUE',
    'user_id TEXT NOT NULL',
    'sender TEXT NOT NULL',
    'room_id TEXT NOT NULL',
    'membership TEXT NOT NULL',
    'forgotten INTEGER DEFAULT 0',
    'display_name TEXT',
    'avatar_url TEXT',
    'event_stream_ordering BIGINT @74',
  ],
  local_current_membership: [
    'room_id TEXT NOT NULL',
    'user_id TEXT NOT NULL',
    'event_id TEXT NOT NULL',
    'membership TEXT NOT NULL',
  ],
  event_forward_extremities: ['event_id TEXT NOT NULL', 'room_id TEXT NOT NULL'],
}

/** Those that may be in a database of their own. */
const STATE_TABLES: Readonly<Record<string, readonly string[]>> = {
  state_groups: ['id BIGINT PRIMARY KEY', 'room_id TEXT NOT NULL', 'event_id TEXT NOT NULL'],
  state_group_edges: ['state_group BIGINT NOT NULL', 'prev_state_group BIGINT NOT NULL'],
  state_groups_state: [
    'state_group BIGINT NOT NULL',
    'room_id TEXT NOT NULL',
    'type TEXT NOT NULL',
    'state_key TEXT NOT NULL',
    'event_id TEXT NOT NULL',
  ],
}

/** What is kept of a table's columns in a version of the schema: SQL of each. Empty: the table is not there. */
function columnsIn(columns: readonly string[], version: number): string[] {
  return columns.flatMap((column) => {
    const [sql = '', mark] = column.split(' @')
    const since = Number(mark ?? 0)
    return (since < 0 ? version < -since : version >= since) ? [sql] : []
  })
}

/** The statements that make the tables of a version. `only`: of one of the two databases. */
export function createStatements(version: number, only?: 'main' | 'state'): string[] {
  const tables = { ...(only === 'state' ? VERSIONS : TABLES), ...(only === 'main' ? {} : STATE_TABLES) }
  return Object.entries(tables).flatMap(([table, columns]) => {
    const kept = columnsIn(columns, version)
    return kept.length === 0 ? [] : [`CREATE TABLE ${table} (${kept.join(', ')})`]
  })
}

const VERSIONS = {
  schema_version: TABLES['schema_version']!,
  schema_compat_version: TABLES['schema_compat_version']!,
}

/** The tables that are in the database of states, where there are two. */
export const OF_STATES: ReadonlySet<string> = new Set(Object.keys(STATE_TABLES))

/** Whether some versions have the column, and others have not. */
export function isOfSomeVersions(table: string, column: string): boolean {
  return (TABLES[table] ?? []).some((sql) => sql.startsWith(`${column} `) && sql.includes(' @'))
}
