import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'

type Values = Readonly<JsonObject>

/** Some keys that have newer names, and what they mean by these. */
export interface OldKeys {
  readonly names: readonly string[]
  /**
   * Where a new key is there already: `ignored`: the old one said nothing; `merged`: its settings counted where the new
   * key has none of that name; `by hand`: what both say together is more than can be put together here.
   */
  readonly besideNew: 'ignored' | 'merged' | 'by hand'
  /** The keys that say the same; none: they said nothing. */
  readonly translate: (values: Values) => Readonly<JsonObject>
  /** For `by hand`: what both say together where that is clear. */
  readonly together?: (values: Values) => Readonly<JsonObject> | undefined
}

/** Everything that Synapse reads by an old name, and that has a newer one. */
export const OLD_KEYS: readonly OldKeys[] = [
  one('disable_registration', 'enable_registration', (value) => !isTrue(value)),
  grouped('presence', { use_presence: 'enabled' }, 'merged'),
  grouped(
    'caches',
    { synctl_cache_factor: 'global_factor', synctl_cache_factors: 'per_cache_factors' },
    'merged',
  ),
  one('room_invite_state_types', 'room_prejoin_state', (value) => ({
    disable_default_event_types: true,
    additional_event_types: value,
  })),
  {
    names: ['restrict_public_rooms_to_local_users'],
    besideNew: 'by hand',
    translate: (values) =>
      isTrue(values['restrict_public_rooms_to_local_users'])
        ? { allow_public_rooms_without_auth: false, allow_public_rooms_over_federation: false }
        : {},
  },
  grouped('rc_message', { rc_messages_per_second: 'per_second', rc_message_burst_count: 'burst_count' }),
  grouped('rc_federation', {
    federation_rc_window_size: 'window_size',
    federation_rc_sleep_limit: 'sleep_limit',
    federation_rc_sleep_delay: 'sleep_delay',
    federation_rc_reject_limit: 'reject_limit',
    federation_rc_concurrent: 'concurrent',
  }),
  one('perspectives', 'trusted_key_servers', trustedServers),
  {
    names: ['bind_port', 'bind_host', 'unsecure_port', 'no_tls', 'metrics_port', 'metrics_bind_host'],
    besideNew: 'by hand',
    translate: (values) => ({ listeners: listenersOf(values) }),
    together: listenersBeside,
  },
]

function one(name: string, newName: string, translate: (value: JsonValue) => JsonValue): OldKeys {
  return {
    names: [name],
    besideNew: 'ignored',
    translate: (values) => ({ [newName]: translate(values[name]!) }),
  }
}

/** Keys that are settings of one group now. */
function grouped(
  newName: string,
  settings: Readonly<Record<string, string>>,
  besideNew: 'ignored' | 'merged' = 'ignored',
): OldKeys {
  const names = Object.keys(settings)
  return {
    names,
    besideNew,
    translate(values) {
      const present = names.filter((name) => Object.hasOwn(values, name))
      return { [newName]: Object.fromEntries(present.map((name) => [settings[name]!, values[name]!])) }
    },
  }
}

/** As Synapse reads what should be true or false. */
function isTrue(value: JsonValue | undefined): boolean {
  return value === true || (typeof value === 'string' && /^(?:y|yes|t|true|on|1)$/i.test(value))
}

function trustedServers(perspectives: JsonValue): JsonValue {
  const servers = isJsonObject(perspectives) ? perspectives['servers'] : undefined
  if (!isJsonObject(servers)) return []
  return Object.entries(servers).map(([name, settings]) => {
    const keys = isJsonObject(settings) ? settings['verify_keys'] : undefined
    if (!isJsonObject(keys)) return { server_name: name }
    const verifyKeys = Object.entries(keys).map(([keyId, key]) => [
      keyId,
      isJsonObject(key) ? (key['key'] ?? '') : key,
    ])
    return { server_name: name, verify_keys: Object.fromEntries(verifyKeys) as JsonObject }
  })
}

/**
 * `no_tls` leaves out listeners with TLS, and `metrics_port` adds one: that is clear beside others. Which of them a
 * `bind_port` should replace is not.
 */
function listenersBeside(values: Values): Readonly<JsonObject> | undefined {
  const { listeners } = values
  if (!Array.isArray(listeners) || isSet(values['bind_port'])) return undefined
  const kept = isTrue(values['no_tls'])
    ? listeners.filter((listener) => !isJsonObject(listener) || !isTrue(listener['tls']))
    : listeners
  return { listeners: [...kept, ...metricsListeners(values)] }
}

function isSet(port: JsonValue | undefined): port is number {
  return typeof port === 'number' && port !== 0
}

/** Of a port with TLS there was one without, 400 below, unless it was said otherwise. */
const UNSECURE_DISTANCE = 400

function listenersOf(values: Values): JsonValue {
  const listeners: JsonValue[] = []
  const { bind_port: port, bind_host: host } = values
  const unsecure = values['unsecure_port'] ?? (isSet(port) ? port - UNSECURE_DISTANCE : undefined)
  const addresses = typeof host === 'string' && host !== '' ? { bind_addresses: [host] } : {}
  const resources = [{ names: ['client', 'federation'], compress: false }]
  if (isSet(port) && !isTrue(values['no_tls'])) {
    listeners.push({ port, tls: true, ...addresses, type: 'http', resources })
  }
  if (isSet(unsecure)) listeners.push({ port: unsecure, tls: false, ...addresses, type: 'http', resources })
  return [...listeners, ...metricsListeners(values)]
}

function metricsListeners({ metrics_port: port, metrics_bind_host: host }: Values): JsonValue[] {
  if (!isSet(port)) return []
  const resources = [{ names: ['metrics'], compress: false }]
  return [{ port, tls: false, bind_addresses: [host ?? '127.0.0.1'], type: 'http', resources }]
}
