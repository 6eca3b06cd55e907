/**
 * Every key of Synapse's configuration and what becomes of it here. Values are checked by the sections' schemas; this
 * table only tells keys that mean something from those that do not.
 */
export type KeyUse =
  | { readonly kind: 'served' }
  /** Means something, but nothing here yet. */
  | { readonly kind: 'later' }
  /** Means nothing here, and nothing is lost. */
  | { readonly kind: 'noEffect'; readonly reason: string }
  /** The server would not do what the key is there for, so it must not start. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** A map whose keys are known one by one. */
  | { readonly kind: 'map'; readonly keys: KeyTable }
  | { readonly kind: 'list'; readonly of: KeyUse }

export type KeyTable = Readonly<Record<string, KeyUse>>

const served: KeyUse = { kind: 'served' }
const later: KeyUse = { kind: 'later' }
const noEffect = (reason: string): KeyUse => ({ kind: 'noEffect', reason })
const refused = (reason: string): KeyUse => ({ kind: 'refused', reason })
const map = (keys: KeyTable): KeyUse => ({ kind: 'map', keys })
const list = (of: KeyUse): KeyUse => ({ kind: 'list', of })
const all = (use: KeyUse, ...names: readonly string[]): KeyTable =>
  Object.fromEntries(names.map((name) => [name, use]))

const python = noEffect('it is about the Python interpreter')
const oneProcess = noEffect('mxhs is one process')
const instead = (key: string): KeyUse => refused(`it is out of date: use ${key}`)

const rate = map(all(served, 'per_second', 'burst_count'))

const SERVER: KeyTable = {
  ...all(
    served,
    'server_name',
    'public_baseurl',
    'serve_server_wellknown',
    'extra_well_known_client_content',
    'default_identity_server',
    'web_client_location',
    'pid_file',
    'admin_contact',
    'hs_disabled',
    'hs_disabled_message',
    'report_stats',
    'require_auth_for_profile_requests',
    'limit_profile_requests_to_users_who_share_rooms',
    'include_profile_data_on_invite',
    'allow_public_rooms_without_auth',
    'allow_public_rooms_over_federation',
    'default_room_version',
    'filter_timeline_limit',
    'block_non_admin_invites',
    'delete_stale_devices_after',
    'use_presence',
    'ip_range_blacklist',
    'ip_range_whitelist',
    'federation_verify_certificates',
    'experimental_features',
  ),
  user_types: map(all(served, 'default_user_type', 'extra_user_types')),
  presence: map({
    ...all(
      served,
      'enabled',
      'include_offline_users_on_sync',
      'last_active_granularity',
      'sync_online_timeout',
      'idle_timeout',
    ),
    presence_router: later,
  }),
  daemonize: noEffect('the server stays in the foreground: leave that to systemd or a container'),
  print_pidfile: noEffect('the server stays in the foreground'),
  report_stats_endpoint: noEffect('mxhs sends no statistics to anybody'),
  server_context: noEffect('mxhs sends no statistics to anybody'),
  soft_file_limit: noEffect('the limit of the process is what the system gives it'),
  suppress_key_server_warning: noEffect('there is no such warning'),
  ...all(python, 'use_frozen_dicts', 'gc_thresholds', 'gc_min_interval', 'track_memory_usage'),
  ...all(noEffect('mxhs has no manhole'), 'manhole', 'manhole_settings'),
  ...all(
    later,
    'modules',
    'user_agent_suffix',
    'enable_search',
    'http_proxy',
    'https_proxy',
    'no_proxy_hosts',
    'matrix_authentication_service',
    'dummy_events_threshold',
    'email',
    'max_event_delay_duration',
    'limit_usage_by_mau',
    'max_mau_value',
    'mau_trial_days',
    'mau_appservice_trial_days',
    'mau_limit_alerting',
    'mau_stats_only',
    'mau_limit_reserved_threepids',
    'limit_remote_rooms',
    'request_token_inhibit_3pid_errors',
    'next_link_domain_whitelist',
    'templates',
    'federation_client_minimum_tls_version',
    'federation_certificate_verification_whitelist',
    'federation_custom_ca_list',
    'federation_domain_whitelist',
    'federation_whitelist_endpoint_enabled',
    'federation_metrics_domains',
    'allow_profile_lookup_over_federation',
    'allow_device_name_lookup_over_federation',
    'federation',
  ),
}

const LISTENERS: KeyTable = {
  listeners: list(
    map({
      ...all(
        served,
        'type',
        'port',
        'path',
        'mode',
        'bind_addresses',
        'bind_address',
        'tls',
        'x_forwarded',
        'request_id_header',
        'tag',
      ),
      resources: list(map(all(served, 'names', 'compress'))),
      additional_resources: later,
    }),
  ),
  ...all(served, 'tls_certificate_path', 'tls_private_key_path'),
  ...all(
    instead('listeners'),
    'bind_port',
    'bind_host',
    'unsecure_port',
    'no_tls',
    'metrics_port',
    'metrics_bind_host',
  ),
}

const STORAGE: KeyTable = {
  database: map({
    name: served,
    // The driver's own; those that are not used are named by the section.
    args: served,
    synchronous: served,
    txn_limit: noEffect('connections may be used for as long as they work'),
    allow_unsafe_locale: noEffect('any locale will do'),
  }),
  databases: refused('several databases are not served yet: name one in database'),
  event_cache_size: served,
  caches: map({
    ...all(
      served,
      'global_factor',
      'per_cache_factors',
      'expire_caches',
      'cache_entry_ttl',
      'sync_response_cache_duration',
    ),
    cache_autotuning: later,
  }),
  ...all(instead('caches.global_factor'), 'synctl_cache_factor', 'synctl_cache_factors'),
  log_config: served,
  background_updates: later,
}

const RATE_LIMITS: KeyTable = {
  ...all(
    rate,
    'rc_message',
    'rc_registration',
    'rc_registration_token_validity',
    'rc_admin_redaction',
    'rc_joins_per_room',
    'rc_3pid_validation',
    'rc_third_party_invite',
    'rc_media_create',
    'rc_key_requests',
    'rc_delayed_event_mgmt',
    'rc_reports',
    'rc_room_creation',
    'rc_user_directory',
  ),
  rc_login: map(all(rate, 'address', 'account', 'failed_attempts')),
  rc_joins: map(all(rate, 'local', 'remote')),
  rc_invites: map(all(rate, 'per_room', 'per_user', 'per_issuer')),
  rc_presence: map({ per_user: rate }),
  ...all(served, 'remote_media_download_per_second', 'remote_media_download_burst_count'),
  ...all(later, 'rc_federation', 'federation_rr_transactions_per_room_per_second'),
  ...all(instead('rc_message'), 'rc_messages_per_second', 'rc_message_burst_count'),
  ...all(
    instead('rc_federation'),
    'federation_rc_window_size',
    'federation_rc_sleep_limit',
    'federation_rc_sleep_delay',
    'federation_rc_reject_limit',
    'federation_rc_concurrent',
  ),
  federation_ip_range_blacklist: instead('ip_range_blacklist'),
}

const ACCOUNTS: KeyTable = {
  ...all(
    served,
    'enable_registration',
    'enable_registration_without_verification',
    'registration_requires_token',
    'registration_shared_secret',
    'registration_shared_secret_path',
    'allow_guest_access',
    'inhibit_user_in_use_error',
    'allow_underscore_prefixed_registration',
    'enable_set_displayname',
    'enable_set_avatar_url',
    'enable_3pid_changes',
    'auto_join_rooms',
    'autocreate_auto_join_rooms',
    'autocreate_auto_join_rooms_federated',
    'autocreate_auto_join_room_preset',
    'auto_join_mxid_localpart',
    'auto_join_rooms_for_guests',
    'bcrypt_rounds',
    'session_lifetime',
    'refreshable_access_token_lifetime',
    'refresh_token_lifetime',
    'nonrefreshable_access_token_lifetime',
    'macaroon_secret_key',
    'macaroon_secret_key_path',
    'form_secret',
    'form_secret_path',
  ),
  password_config: map({
    ...all(served, 'enabled', 'localdb_enabled', 'pepper'),
    policy: map(
      all(
        served,
        'enabled',
        'minimum_length',
        'require_digit',
        'require_symbol',
        'require_lowercase',
        'require_uppercase',
      ),
    ),
  }),
  ui_auth: map(all(served, 'session_timeout')),
  login_via_existing_session: map(all(served, 'enabled', 'require_ui_auth', 'token_timeout')),
  disable_registration: instead('enable_registration'),
  ...all(
    later,
    'registrations_require_3pid',
    'enable_registration_captcha',
    'recaptcha_public_key',
    'recaptcha_public_key_path',
    'recaptcha_private_key',
    'recaptcha_private_key_path',
    'recaptcha_siteverify_api',
    'disable_msisdn_registration',
    'allowed_local_3pids',
    'enable_3pid_lookup',
    'account_threepid_delegates',
    'account_validity',
    'use_account_validity_in_account_status',
    'expiry_time',
    'saml2_config',
    'oidc_providers',
    'oidc_config',
    'cas_config',
    'sso',
    'jwt_config',
    'user_consent',
    'password_providers',
    'ldap_config',
    'spam_checker',
    'third_party_event_rules',
    'track_puppeted_user_ips',
    'app_service_config_files',
    'track_appservice_user_ips',
    'use_appservice_legacy_authorization',
    'auto_accept_invites',
    'dont_notify_new_devices_for',
    'riot_base_url',
  ),
}

const ROOMS: KeyTable = {
  ...all(
    served,
    'encryption_enabled_by_default_for_room_type',
    'default_power_level_content_override',
    'require_membership_for_aliases',
    'enable_room_list_search',
    'allow_per_room_profiles',
    'max_avatar_size',
    'allowed_avatar_mimetypes',
    'forget_rooms_on_leave',
    'exclude_rooms_from_sync',
    'exclude_rooms_from_presence',
    'redaction_retention_period',
    'forgotten_room_retention_period',
    'user_ips_max_age',
  ),
  ...all(
    list(map(all(served, 'user_id', 'alias', 'room_id', 'action'))),
    'alias_creation_rules',
    'room_list_publication_rules',
  ),
  room_prejoin_state: map(all(served, 'disable_default_event_types', 'additional_event_types')),
  retention: map({
    ...all(served, 'enabled', 'allowed_lifetime_min', 'allowed_lifetime_max'),
    default_policy: map(all(served, 'min_lifetime', 'max_lifetime')),
    purge_jobs: list(map(all(served, 'interval', 'shortest_max_lifetime', 'longest_max_lifetime'))),
  }),
  push: map({
    enabled: served,
    ...all(later, 'include_content', 'group_unread_count_by_room', 'jitter_delay'),
  }),
  room_invite_state_types: instead('room_prejoin_state'),
  restrict_public_rooms_to_local_users: instead('allow_public_rooms_over_federation'),
  ...all(later, 'user_directory', 'stats', 'server_notices', 'enable_ephemeral_messages'),
}

const MEDIA: KeyTable = {
  ...all(
    later,
    'max_upload_size',
    'media_store_path',
    'enable_media_repo',
    'enable_authenticated_media',
    'enable_local_media_storage',
    'max_pending_media_uploads',
    'unused_expiration_time',
    'media_storage_providers',
    'backup_media_store_path',
    'media_upload_limits',
    'max_image_pixels',
    'prevent_media_downloads_from',
    'dynamic_thumbnails',
    'thumbnail_sizes',
    'media_retention',
    'url_preview_enabled',
    'url_preview_ip_range_blacklist',
    'url_preview_ip_range_whitelist',
    'url_preview_url_blacklist',
    'max_spider_size',
    'url_preview_accept_language',
    'oembed',
    'turn_uris',
    'turn_shared_secret',
    'turn_shared_secret_path',
    'turn_username',
    'turn_password',
    'turn_user_lifetime',
    'turn_allow_guests',
    'matrix_rtc',
  ),
}

const OPERATIONS: KeyTable = {
  enable_metrics: served,
  ...all(served, 'signing_key', 'signing_key_path', 'old_signing_keys', 'key_refresh_interval'),
  trusted_key_servers: list(map(all(served, 'server_name', 'verify_keys', 'accept_keys_insecurely'))),
  perspectives: instead('trusted_key_servers'),
  ...all(later, 'sentry', 'metrics_flags', 'opentracing', 'key_server_signing_keys_path'),
  ...all(
    oneProcess,
    'worker_app',
    'worker_name',
    'worker_daemonize',
    'worker_pid_file',
    'start_pushers',
    'send_federation',
    'replication_torture_level',
  ),
  ...all(
    later,
    'worker_listeners',
    'worker_manhole',
    'worker_log_config',
    'worker_replication_secret',
    'worker_replication_secret_path',
    'worker_replication_host',
    'worker_replication_http_port',
    'worker_replication_http_tls',
    'worker_main_http_uri',
    'pusher_instances',
    'federation_sender_instances',
    'instance_map',
    'stream_writers',
    'outbound_federation_restricted_to',
    'run_background_tasks_on',
    'update_user_directory_from_worker',
    'notify_appservices_from_worker',
    'media_instance_running_background_jobs',
    'redis',
  ),
}

/** All keys, by their names at the top of the file. */
export const KNOWN_KEYS: KeyTable = {
  ...SERVER,
  ...LISTENERS,
  ...STORAGE,
  ...RATE_LIMITS,
  ...ACCOUNTS,
  ...ROOMS,
  ...MEDIA,
  ...OPERATIONS,
}

/** Keys that may come from files of their own: `<key>_path`. */
export const SECRETS_FROM_FILES = [
  'registration_shared_secret',
  'macaroon_secret_key',
  'form_secret',
] as const
