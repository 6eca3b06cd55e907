import { countRows } from '../../storage/synapse/rows.js'
import type { SynapseSource } from '../../storage/synapse/source.js'

/** Something that does not come over, and why. */
export interface LeftOut {
  readonly what: string
  readonly count: number
  readonly why: string
}

/** What has no place here. By table: what its rows are, and why they stay behind. */
const LEFT_BEHIND: readonly { table: string; where?: string; what: string; why: string }[] = [
  {
    table: 'presence_stream',
    what: 'states of presence',
    why: 'clients say anew whether their user is online',
  },
  {
    table: 'local_media_repository',
    where: 't.url_cache IS NOT NULL',
    what: 'pictures of previews',
    why: 'previews are made again when somebody asks for them',
  },
  {
    table: 'local_media_repository_thumbnails',
    what: 'thumbnails',
    why: 'they are made again when somebody asks for them',
  },
  {
    table: 'remote_media_cache_thumbnails',
    what: 'thumbnails of files of other servers',
    why: 'they are made again when somebody asks for them',
  },
  {
    table: 'device_lists_remote_cache',
    what: "devices of other servers' users",
    why: 'they are fetched again when somebody asks for them',
  },
  {
    table: 'login_tokens',
    what: 'login tokens',
    why: 'they hold for two minutes: logins through a browser that are under way have to be begun again',
  },
  { table: 'open_id_tokens', what: 'OpenID tokens', why: 'they hold for an hour, and clients get new ones' },
  {
    table: 'ui_auth_sessions',
    what: 'sessions of registrations and proofs of identity',
    why: 'what somebody is in the middle of has to be begun again',
  },
  {
    table: 'delayed_events',
    where: 'NOT t.is_processed',
    what: 'events that are to be sent later',
    why: 'clients schedule them anew',
  },
  {
    table: 'account_validity',
    what: 'dates at which accounts end',
    why: 'accounts do not end by themselves here: deactivate them',
  },
  {
    table: 'monthly_active_users',
    what: 'monthly active users',
    why: 'they are counted anew',
  },
  {
    table: 'user_daily_visits',
    what: 'daily visits of users',
    why: 'they are counted anew',
  },
  {
    table: 'per_user_experimental_features',
    where: 't.enabled',
    what: 'proposals that are switched on for single users',
    why: 'what is served here is served to everybody',
  },
  {
    table: 'room_ban_redactions',
    what: 'redactions by bans alone',
    why: 'what somebody has sent who was banned so can be read again: redact it before or after',
  },
  {
    table: 'event_expiry',
    what: 'messages that were to vanish by themselves',
    why: 'they stay here until somebody redacts them',
  },
  {
    table: 'sticky_events',
    what: 'marks of sticky events',
    why: 'they hold for an hour at most, and clients send them again',
  },
  {
    table: 'threepid_validation_session',
    where: 't.validated_at IS NULL',
    what: 'proofs of addresses under way',
    why: 'whoever is in the middle of one begins anew',
  },
  {
    table: 'threepid_guest_access_tokens',
    what: 'guests who were invited by e-mail',
    why: 'they come in as other guests do, or register',
  },
  {
    table: 'pusher_throttle',
    what: 'pauses between mails of notifications',
    why: 'the first mail comes a little earlier',
  },
  {
    table: 'scheduled_tasks',
    where: "t.status IN ('scheduled', 'active')",
    what: 'tasks of administrators under way',
    why: 'deletions and the like have to be asked for again',
  },
  {
    table: 'background_updates',
    what: 'unfinished background updates',
    why: 'what they fill in may be missing in the copy: let Synapse run until it has finished them',
  },
]

/** Tables that are copied, or read for what is. */
const TAKEN = [
  'access_tokens',
  'account_data',
  'application_services_state',
  'application_services_txns',
  'appservice_room_list',
  'appservice_stream_position',
  'blocked_rooms',
  'current_state_delta_stream',
  'current_state_events',
  'dehydrated_devices',
  'device_auth_providers',
  'destination_rooms',
  'destinations',
  'device_federation_inbox',
  'device_federation_outbox',
  'device_inbox',
  'device_lists_changes_in_room',
  'device_lists_outbound_last_success',
  'device_lists_outbound_pokes',
  'device_lists_stream',
  'device_max_stream_id',
  'devices',
  'e2e_cross_signing_keys',
  'e2e_cross_signing_signatures',
  'e2e_device_keys_json',
  'e2e_fallback_keys_json',
  'e2e_one_time_keys_json',
  'e2e_room_keys',
  'e2e_room_keys_versions',
  'erased_users',
  'event_forward_extremities',
  'event_json',
  'event_push_actions',
  'event_reports',
  'event_to_state_groups',
  'event_txn_id',
  'event_txn_id_device_id',
  'events',
  'federation_inbound_events_staging',
  'local_current_membership',
  'partial_state_rooms',
  'profiles',
  'push_rules',
  'push_rules_enable',
  'pushers',
  'ratelimit_override',
  'receipts_linearized',
  'redactions',
  'refresh_tokens',
  'registration_tokens',
  'rejections',
  'remote_media_cache',
  'room_account_data',
  'room_aliases',
  'room_memberships',
  'room_reports',
  'room_tags',
  'room_tags_revisions',
  'rooms',
  'schema_compat_version',
  'schema_version',
  'server_keys_json',
  'server_signature_keys',
  'state_group_edges',
  'state_groups',
  'state_groups_state',
  'thread_subscriptions',
  'user_external_ids',
  'user_filters',
  'user_ips',
  'user_reports',
  'user_signature_stream',
  'user_threepid_id_server',
  'user_threepids',
  'users',
  'users_pending_deactivation',
]

/** Tables whose content is made anew of others, holds for moments, or means something to Synapse alone. */
const DERIVED = [
  'groups',
  'instance_map',
  'presence',
  'sessions',
  'threads',
  'applied_module_schemas',
  'applied_schema_deltas',
  'batch_events',
  'chunk_events',
  'delayed_events_stream_pos',
  'deleted_pushers',
  'event_backward_extremities',
  'event_edges',
  'event_failed_pull_attempts',
  'event_labels',
  'event_relations',
  'ex_outlier_stream',
  'federation_stream_position',
  'guest_access',
  'history_visibility',
  'ignored_users',
  'local_invites',
  'partial_state_events',
  'partial_state_rooms_servers',
  'private_user_data_max_stream_id',
  'profile_updates',
  'profile_updates_per_user',
  'public_room_list_stream',
  'push_rules_stream',
  'quarantined_media_changes',
  'receipts_graph',
  'received_transactions',
  'remote_profile_cache',
  'room_alias_servers',
  'room_depth',
  'room_forgetter_stream_pos',
  'room_retention',
  'room_state',
  'room_stats',
  'state_events',
  'stats_incremental_position',
  'stats_stream_pos',
  'stream_ordering_to_exterm',
  'stream_positions',
  'threepid_validation_token',
  'timeline_gaps',
  'ui_auth_sessions_credentials',
  'ui_auth_sessions_ips',
  'user_stats',
  'users_to_send_full_presence_to',
]

const KNOWN: ReadonlySet<string> = new Set([...TAKEN, ...DERIVED])

/** Families of such tables. */
const DERIVED_PREFIXES = [
  'cache_invalidation_stream',
  'device_lists_',
  'event_push_',
  'event_search',
  'event_auth',
  'group_',
  'insertion_event',
  'local_group_',
  'local_media_repository_',
  'msc4242_',
  'remote_media_cache_',
  'room_stats_',
  'sliding_sync_',
  'sqlite_',
  'state_groups_',
  'un_partial_stated_',
  'user_directory',
  'user_stats_',
  'users_in_',
  'users_who_',
  'worker_',
]

/** Lists what of a Synapse does not come over, and has any rows; also of tables that are not Synapse's own. */
export async function listLeftOut(source: SynapseSource): Promise<LeftOut[]> {
  const leftOut: LeftOut[] = []
  for (const { what, why, ...rows } of LEFT_BEHIND) {
    const count = await countRows(source, rows)
    if (count > 0) leftOut.push({ what, count, why })
  }
  for (const table of await listUnknownTables(source)) {
    const name = `"${table.replaceAll('"', '""')}"`
    const count = (await source.q.first<{ n: number }>(`SELECT COUNT(*) AS n FROM ${name}`))?.n ?? 0
    if (count > 0) leftOut.push({ what: `rows of ${table}`, count, why: 'the table is not known' })
  }
  return leftOut
}

/** Tables that a module may have made, or a newer Synapse; not views, and nothing that may not be read. */
async function listUnknownTables({ q }: SynapseSource): Promise<string[]> {
  const rows = await q.all<{ name: string }>(
    q.dialect.name === 'sqlite'
      ? `SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%' ORDER BY name`
      : `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r', 'p')
           AND has_table_privilege(c.oid, 'SELECT') ORDER BY c.relname`,
  )
  return rows.map(({ name }) => name).filter((name) => !isKnown(name))
}

function isKnown(table: string): boolean {
  return (
    KNOWN.has(table) ||
    LEFT_BEHIND.some((left) => left.table === table) ||
    DERIVED_PREFIXES.some((prefix) => table.startsWith(prefix))
  )
}
