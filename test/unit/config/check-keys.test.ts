import { expect } from 'chai'
import { checkKeys } from '../../../src/config/check-keys.js'
import { formatPath } from '../../../src/config/config-error.js'
import { homeserverConfigSchema } from '../../../src/config/homeserver-config.js'
import { KNOWN_KEYS } from '../../../src/config/known-keys.js'
import { KEYS_IN_FILES, SECRET_KEYS } from '../../../src/config/secret-keys.js'

function findings(values: Record<string, unknown>): string[] {
  return checkKeys(values).map(
    ({ path, isError, message }) => `${isError ? 'error' : 'warning'} ${formatPath(path)}: ${message}`,
  )
}

describe('checkKeys', () => {
  it('has nothing to say of keys that are served', () => {
    expect(findings({ server_name: 1, rc_login: { address: { per_second: 1 } } })).to.deep.equal([])
  })

  it('names the nearest key of the same map for unknown ones', () => {
    expect(findings({ listners: [] })).to.deep.equal(['error listners: unknown key; did you mean listeners?'])
    expect(findings({ rc_login: { adress: {} } })).to.deep.equal([
      'error rc_login.adress: unknown key; did you mean address?',
    ])
    expect(findings({ listeners: [{}, { prot: 1 }] })).to.deep.equal([
      'error listeners[1].prot: unknown key; did you mean port?',
    ])
    expect(findings({ frobnicate: 1 })).to.deep.equal(['error frobnicate: unknown key'])
  })

  it('says where a key belongs that stands too deep', () => {
    expect(findings({ push: { enable_registration: true } })).to.deep.equal([
      'error push.enable_registration: unknown key here; it belongs to the top level',
    ])
  })

  it('takes no key from the prototype of objects', () => {
    expect(findings({ constructor: 1, toString: 1 })).to.have.length(2)
  })

  it('warns of keys that are not served, wherever they stand', () => {
    expect(findings({ enable_ephemeral_messages: true, presence: { presence_router: 1 } })).to.deep.equal([
      'warning enable_ephemeral_messages: mxhs does not serve this key yet',
      'warning presence.presence_router: mxhs does not serve this key yet',
    ])
  })

  it('says nothing of keys that are not served where nothing is asked for', () => {
    expect(
      findings({
        spam_checker: [],
        saml2_config: {},
        account_validity: null,
        opentracing: { enabled: false, homeserver_whitelist: ['x'] },
        enable_ephemeral_messages: false,
        presence: { presence_router: {} },
      }),
    ).to.deep.equal([])
    expect(
      findings({
        spam_checker: [{}],
        opentracing: { enabled: true },
        account_validity: { period: '', enabled: 0 },
      }),
    ).to.have.length(3)
  })

  it('warns of keys that have no effect, and says why', () => {
    expect(findings({ gc_thresholds: [1, 2, 3] })[0]).to.match(
      /^warning gc_thresholds: has no effect: .*Python/,
    )
    expect(findings({ web_client: false })[0]).to.match(/^warning web_client: has no effect: .*given it up/)
  })

  it('says nothing of keys without a value', () => {
    expect(findings({ url_preview_enabled: null, perspectives: null })).to.deep.equal([])
  })

  it('says what old keys are called now', () => {
    expect(findings({ disable_registration: true })[0]).to.match(/^warning .*use enable_registration/)
  })
})

describe('KNOWN_KEYS', () => {
  it('has every key that a section reads', () => {
    const unknown = Object.keys(homeserverConfigSchema.shape).filter((key) => !Object.hasOwn(KNOWN_KEYS, key))
    expect(unknown).to.deep.equal([])
  })

  it('calls no key served that no section reads', () => {
    const read = new Set([
      ...Object.keys(homeserverConfigSchema.shape),
      // Of which one stands in the place of `database`.
      'databases',
      ...[...SECRET_KEYS, ...KEYS_IN_FILES].filter((key) => key.length === 1).map(([key]) => `${key!}_path`),
    ])
    const claimed = Object.entries(KNOWN_KEYS)
      .filter(([, { kind }]) => ['served', 'map', 'list'].includes(kind))
      .map(([key]) => key)
    expect(claimed.filter((key) => !read.has(key))).to.deep.equal([])
  })
})
