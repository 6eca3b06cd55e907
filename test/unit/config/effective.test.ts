import { expect } from 'chai'
import { stringify } from 'yaml'
import { loadEffective } from '../../../src/config/effective.js'
import { loadConfig } from '../../../src/config/load.js'
import type { JsonObject } from '../../../src/util/json.js'
import { useScratch } from '../../support/scratch.js'

const RICH = `
server_name: a.org
listeners:
  - port: 8008
    x_forwarded: true
    resources: [{names: [client, federation]}]
  - {path: /run/mxhs.sock, mode: 660, resources: [{names: [metrics]}]}
email: {smtp_host: mail.a.org, notif_from: "x@a.org"}
rc_message: {per_second: 3}
max_upload_size: 100M
session_lifetime: 7d
federation_client_minimum_tls_version: 1.2
turn_uris: ["turn:a.org"]
url_preview_enabled: true
url_preview_ip_range_blacklist: [10.0.0.0/8]
thumbnail_sizes: [{width: 10, height: 10, method: crop}]
retention: {enabled: true, purge_jobs: [{interval: 1d, longest_max_lifetime: 3d}]}
https_proxy: "http://proxy:3128"
user_ips_max_age: null
encryption_enabled_by_default_for_room_type: invite
`

describe('loadEffective', () => {
  const scratch = useScratch()

  function effective(text: string): Promise<JsonObject> {
    const path = scratch.write('homeserver.yaml', text)
    return loadEffective([path], { env: {} }).then((loaded) => loaded.effective)
  }

  it('fills in defaults, and leaves what is written as it is', async () => {
    const values = await effective(RICH)
    expect(values['max_upload_size']).to.equal('100M')
    expect(values['rc_message']).to.deep.equal({ per_second: 3, burst_count: 10 })
    expect(values['bcrypt_rounds']).to.equal(12)
    expect(values['redaction_retention_period']).to.equal(7 * 24 * 3_600_000)
    expect(values).to.not.have.any.keys('public_baseurl')
    expect(values['email']).to.include({ smtp_host: 'mail.a.org', force_tls: false })
    expect(values['https_proxy']).to.equal('http://proxy:3128')
    expect(Object.keys(values)).to.deep.equal(Object.keys(values).sort())
  })

  for (const [name, text] of [
    ['little', 'server_name: a.org\n'],
    ['much', RICH],
  ] as const) {
    it(`means the same to a server, where ${name} is configured`, async () => {
      const given = await loadConfig([scratch.write('given.yaml', text)], { env: {} })
      const values = await effective(text)
      const again = await loadConfig([scratch.write('again.yaml', stringify(values))], { env: {} })
      const plain = (config: object): unknown =>
        JSON.parse(
          JSON.stringify(config, (_key, value: unknown) => (typeof value === 'function' ? 'f' : value)),
        )
      expect(plain(again.config)).to.deep.equal(plain(given.config))
      expect(again.warnings.map(({ path }) => path)).to.deep.equal(given.warnings.map(({ path }) => path))
    })
  }

  it('shows no secret, wherever it comes from', async () => {
    const secret = scratch.write('secret', 'hidden-file')
    const path = scratch.write(
      'homeserver.yaml',
      `server_name: a.org\nform_secret_path: ${secret}\nturn_shared_secret: hidden\nmacaroon_secret_key: "\${X}"\n` +
        'database: {name: psycopg2, args: {password: hidden, host: h}}\n',
    )
    const loaded = await loadEffective([path], { env: { X: 'hidden-variable' } })
    expect(JSON.stringify(loaded.effective)).to.not.contain('hidden')
    expect(loaded.effective['macaroon_secret_key']).to.equal('********')
    expect(loaded.effective).to.have.nested.property('database.args.password', '********')
    expect(loaded.config.sessions.formSecret).to.equal('hidden-file')
  })
})
