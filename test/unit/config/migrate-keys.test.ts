import { expect } from 'chai'
import { parse } from 'yaml'
import { KNOWN_KEYS } from '../../../src/config/known-keys.js'
import { migrateKeys } from '../../../src/config/migrate-keys.js'
import { OLD_KEYS } from '../../../src/config/old-keys.js'

describe('migrateKeys', () => {
  function migrated(text: string): unknown {
    return parse(migrateKeys(text).text)
  }

  it('replaces keys and leaves everything else as it is', () => {
    const text = `# The server
server_name:   "a.org"   # forever

# nobody registers
disable_registration: yes   # really
rc_messages_per_second: 0.5
listeners:
  - {port: 8008}
rc_message_burst_count: 20
`
    const { text: after, changes, byHand } = migrateKeys(text)
    expect(after).to.equal(`# The server
server_name:   "a.org"   # forever

# nobody registers
enable_registration: false
rc_message:
  per_second: 0.5
  burst_count: 20
listeners:
  - {port: 8008}
`)
    expect(changes).to.deep.equal([
      {
        keys: ['disable_registration'],
        line: 5,
        removed: ['disable_registration: yes   # really'],
        added: ['enable_registration: false'],
      },
      {
        keys: ['rc_messages_per_second'],
        line: 6,
        removed: ['rc_messages_per_second: 0.5'],
        added: ['rc_message:', '  per_second: 0.5', '  burst_count: 20'],
      },
      { keys: ['rc_message_burst_count'], line: 9, removed: ['rc_message_burst_count: 20'], added: [] },
    ])
    expect(byHand).to.deep.equal([])
  })

  it('knows every old key, and says it by keys that are not old', () => {
    const old = OLD_KEYS.flatMap(({ names }) => names)
    const outOfDate = Object.keys(KNOWN_KEYS).filter((key) => KNOWN_KEYS[key]?.kind === 'old')
    expect(outOfDate).to.not.be.empty
    expect(old).to.include.members(outOfDate)
    expect(KNOWN_KEYS).to.include.keys(old)
    for (const { names, translate } of OLD_KEYS) {
      const values = Object.fromEntries(names.map((name) => [name, true]))
      for (const key of Object.keys(translate(values))) {
        expect(KNOWN_KEYS, key).to.have.property(key)
        expect(old).to.not.include(key)
      }
    }
  })

  it('leaves a new key alone that stands beside an old one', () => {
    expect(migrateKeys('rc_message: {per_second: 1}\nrc_messages_per_second: 5\n').text).to.equal(
      'rc_message: {per_second: 1}\n',
    )
    expect(migrateKeys('rc_messages_per_second: 5\n', new Set(['rc_message'])).text).to.equal('')
  })

  it('puts settings into groups that are there', () => {
    const text = 'caches:\n   # more\n   expire_caches: true\nsynctl_cache_factor: 2.0\nuse_presence: false\n'
    expect(migrateKeys(text).text).to.equal(
      'caches:\n   # more\n   global_factor: 2\n   expire_caches: true\npresence:\n  enabled: false\n',
    )
    expect(migrated('synctl_cache_factor: 2\nsynctl_cache_factors: {a: 3}\n')).to.deep.equal({
      caches: { global_factor: 2, per_cache_factors: { a: 3 } },
    })
    const set = 'presence:\n  enabled: true\nuse_presence: false\n'
    expect(migrateKeys(set).text).to.equal('presence:\n  enabled: true\n')
  })

  it('says what it cannot do', () => {
    const text = 'presence: {idle_timeout: 5m}\nuse_presence: false\n'
    expect(migrateKeys(text)).to.deep.equal({
      text,
      changes: [],
      byHand: [{ key: 'use_presence', line: 2, message: 'say the same by presence' }],
    })
    expect(migrateKeys('{disable_registration: true}').byHand).to.have.length(1)
    expect(migrateKeys('listeners: []\nmetrics_port: 9000\n').byHand[0]).to.include({ line: 2 })
    expect(migrateKeys('no_tls: true\nlisteners:\n  - {port: 8448, tls: true}\n').byHand).to.have.lengthOf(1)
    expect(migrateKeys('no_tls: true\nlisteners:\n  - {port: 8008}\n').text).to.equal(
      'listeners:\n  - {port: 8008}\n',
    )
    expect(migrateKeys('- no map\n').changes).to.deep.equal([])
    expect(migrateKeys('no: [yaml\n').text).to.equal('no: [yaml\n')
  })

  it('translates whole groups', () => {
    expect(
      migrated('perspectives:\n  servers:\n    m.org:\n      verify_keys:\n        "ed25519:a": {key: x}\n'),
    ).to.deep.equal({ trusted_key_servers: [{ server_name: 'm.org', verify_keys: { 'ed25519:a': 'x' } }] })
    expect(migrated('bind_port: 8448\nbind_host: 0.0.0.0\nmetrics_port: 9000\n')).to.have.nested.property(
      'listeners[2].resources[0].names[0]',
      'metrics',
    )
    expect(migrated('bind_port: 8448\nno_tls: true\n')).to.deep.equal({
      listeners: [
        {
          port: 8048,
          tls: false,
          type: 'http',
          resources: [{ names: ['client', 'federation'], compress: false }],
        },
      ],
    })
    expect(migrated('restrict_public_rooms_to_local_users: true')).to.deep.equal({
      allow_public_rooms_without_auth: false,
      allow_public_rooms_over_federation: false,
    })
    expect(migrateKeys('restrict_public_rooms_to_local_users: false').text).to.equal('')
    expect(migrated('room_invite_state_types: [m.room.name]\nfederation_rc_concurrent: 5\n')).to.deep.equal({
      room_prejoin_state: { disable_default_event_types: true, additional_event_types: ['m.room.name'] },
      rc_federation: { concurrent: 5 },
    })
  })

  it('has nothing to do the second time', () => {
    const { text } = migrateKeys('use_presence: true\nbind_port: 8448\nrc_message_burst_count: 1\n# end')
    expect(migrateKeys(text)).to.deep.equal({ text, changes: [], byHand: [] })
    expect(text).to.match(/# end$/)
  })
})
