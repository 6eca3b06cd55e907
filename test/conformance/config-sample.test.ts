import { expect } from 'chai'
import { renderHomeserverYaml, type NewServer } from '../../src/config/generate.js'
import { loadConfig } from '../../src/config/load.js'
import { KNOWN_KEYS } from '../../src/config/known-keys.js'
import { useScratch } from '../support/scratch.js'

const SERVER: NewServer = {
  serverName: 'example.org',
  reportStats: false,
  database: { name: 'sqlite', path: 'homeserver.db' },
  port: 8008,
  publicBaseUrl: undefined,
}

/** What configures the usual deployments of Synapse, with keys of all kinds. */
const FROM_SYNAPSE = `
server_name: "example.org"
pid_file: /data/homeserver.pid
daemonize: false
public_baseurl: https://matrix.example.org/
modules: []
listeners:
  - port: 8008
    tls: false
    type: http
    x_forwarded: true
    bind_addresses: ['::1', '127.0.0.1']
    resources:
      - names: [client, federation]
        compress: false
  - {port: 9100, type: metrics, bind_addresses: ['0.0.0.0'], resources: [{names: [metrics]}]}
presence: {enabled: true}
limit_remote_rooms: {enabled: true, complexity: 1.0}
redaction_retention_period: 7d
retention: {enabled: false}
federation_rr_transactions_per_room_per_second: 50
event_cache_size: "100K"
caches:
  global_factor: 10
  cache_entry_ttl: "1080m"
  cache_autotuning: {max_cache_memory_usage: 1024M, target_cache_memory_usage: 512M, min_cache_ttl: 30s}
database:
  name: psycopg2
  txn_limit: 10000
  args:
    user: synapse
    password: secret
    database: synapse
    host: db
    port: 5432
    cp_min: 5
    cp_max: 10
    keepalives_idle: 10
    keepalives_interval: 10
    keepalives_count: 3
rc_message: {per_second: 0.5, burst_count: 30}
rc_federation: {window_size: 1000, sleep_limit: 10, sleep_delay: 500, reject_limit: 50, concurrent: 3}
enable_authenticated_media: true
media_store_path: /data/media_store
max_upload_size: 100M
url_preview_enabled: true
url_preview_ip_range_blacklist: ['10.0.0.0/8']
turn_uris: ["turn:turn.example.org?transport=udp"]
turn_shared_secret: secret
turn_user_lifetime: 1h
turn_allow_guests: True
enable_registration: false
registration_shared_secret: secret
bcrypt_rounds: 12
enable_metrics: true
report_stats: false
macaroon_secret_key: secret
form_secret: secret
signing_key_path: /data/example.org.signing.key
old_signing_keys:
key_refresh_interval: "1d"
trusted_key_servers:
  - server_name: "matrix.org"
suppress_key_server_warning: true
password_config: {enabled: true, localdb_enabled: true, pepper: x, policy: {enabled: false, minimum_length: 15}}
push: {enabled: true, include_content: true, group_unread_count_by_room: true}
encryption_enabled_by_default_for_room_type: off
user_directory: {enabled: true, search_all_users: false, prefer_local_users: false}
stats: {enabled: true}
worker_app: synapse.app.homeserver
redis: {enabled: false}
experimental_features: {msc3266_enabled: true}
`

describe('homeserver.yaml', () => {
  const scratch = useScratch()

  async function load(text: string) {
    return loadConfig([scratch.write('homeserver.yaml', text)], { env: {} })
  }

  it('loads as it is generated, without a warning', async () => {
    const { warnings } = await load(await renderHomeserverYaml(SERVER, undefined))
    expect(warnings).to.deep.equal([])
  })

  it('loads with all that is commented out taken in', async () => {
    const text = await renderHomeserverYaml(SERVER, undefined)
    // Prose has a space after the sign, settings have none.
    const settings = text.replace(/^#(?=\S)/gm, '')
    expect(settings).to.not.equal(text)
    const { config, warnings } = await load(settings)
    expect(warnings).to.deep.equal([])
    expect(config.rateLimits).to.deep.equal((await load(text)).config.rateLimits)
  })

  it('shows only keys that are served', async () => {
    const text = (await renderHomeserverYaml(SERVER, undefined)).replace(/^#(?=\S)/gm, '')
    const keys = [...text.matchAll(/^([a-z_]+):/gm)].map(([, key]) => key!)
    expect(keys.length).to.be.greaterThan(40)
    expect(
      keys.filter((key) => ['later', 'noEffect', 'refused'].includes(KNOWN_KEYS[key]?.kind ?? '')),
    ).to.deep.equal([])
  })

  it('may be that of a Synapse', async () => {
    const { config, warnings } = await load(FROM_SYNAPSE)
    expect(config.listeners.list).to.have.length(2)
    expect(config.database.name).to.equal('postgres')
    expect(config.caches.eventCacheSize).to.equal(102_400)
    expect(config.rooms.encryptedByDefault).to.equal('off')
    const warned = warnings.map(({ path }) => path)
    expect(warned).to.include.members(['redis', 'worker_app'])
    expect(warned).to.not.include.members(['listeners', 'rc_message', 'password_config'])
  })
})
