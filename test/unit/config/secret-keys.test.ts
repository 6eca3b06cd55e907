import { expect } from 'chai'
import { isSecretPath, MASK, maskSecrets, SECRET_KEYS } from '../../../src/config/secret-keys.js'

describe('maskSecrets', () => {
  it('masks every secret that may come from elsewhere', () => {
    for (const path of SECRET_KEYS) {
      const values = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), 'hidden')
      expect(JSON.stringify(maskSecrets(values as never)), path.join('.'))
        .to.contain(MASK)
        .and.not.contain('hidden')
    }
  })

  it('masks secrets of settings that are handed on, and in URLs', () => {
    const values = {
      signing_key: 'ed25519 a x',
      media_storage_providers: [
        { config: { access_key_id: 'id', secret_access_key: 's', session_token: 's' } },
      ],
      experimental_features: { msc3861: { client_secret: 's', admin_token: 's' } },
      database: { args: { dsn: 'postgresql://s' } },
      modules: [{ config: { shared_secret: 's', bind_password: 's', authorization: 's' } }],
      http_proxy: 'http://user:s@proxy.org:3128/',
      turn_shared_secret: 12345,
    }
    expect(JSON.stringify(maskSecrets(values))).to.not.match(/"s"|:s@|12345|ed25519/)
    expect(maskSecrets(values)).to.have.property('http_proxy', `http://user:${MASK}@proxy.org:3128/`)
    expect(maskSecrets(values)).to.have.nested.property(
      'media_storage_providers[0].config.access_key_id',
      'id',
    )
  })

  it('leaves alone what is none, and what is empty', () => {
    const values = {
      password_config: { enabled: true, pepper: '', policy: { minimum_length: 8 } },
      old_signing_keys: { 'ed25519:a': { key: 'public', expired_ts: 1 } },
      signing_key_path: '/etc/key',
      registration_shared_secret_path: '/etc/secret',
      email: { subjects: { password_reset: 'Reset' }, smtp_pass: null },
      public_baseurl: 'https://example.org:8448/@x',
    }
    expect(maskSecrets(values)).to.deep.equal(values)
    expect(isSecretPath(['password_config', 'policy', 'minimum_length'])).to.equal(false)
    expect(isSecretPath(['email', 'smtp_pass'])).to.equal(true)
  })
})
