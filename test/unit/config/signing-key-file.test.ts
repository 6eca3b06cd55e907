import { expect } from 'chai'
import { ConfigError } from '../../../src/config/config-error.js'
import { loadSigningKeys } from '../../../src/config/signing-key-file.js'
import { loadKeys } from '../../support/load-config.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'

const SEED = 'A'.repeat(43)

describe('loadSigningKeys', () => {
  const scratch = useScratch()

  async function keysOf(keys: object) {
    return loadSigningKeys((await loadKeys(keys)).config.signingKeys)
  }

  it('reads the key from its file, or from the configuration', async () => {
    const path = scratch.write('key', `ed25519 a_file ${SEED}\n`)
    expect((await keysOf({ signing_key_path: path })).current[0]!.keyId).to.equal('ed25519:a_file')
    const both = { signing_key_path: path, signing_key: `ed25519 a_inline ${SEED}` }
    expect((await keysOf(both)).current[0]!.keyId).to.equal('ed25519:a_inline')
  })

  it('signs with the first of several', async () => {
    const path = scratch.write('key', `ed25519 a_new ${SEED}\ned25519 a_spare ${SEED}\n`)
    const { signing, current } = await keysOf({ signing_key_path: path })
    expect(signing.keyId).to.equal('ed25519:a_new')
    expect(current.map(({ keyId }) => keyId)).to.deep.equal(['ed25519:a_new', 'ed25519:a_spare'])
  })

  it('reads old keys', async () => {
    const publicKey = (await keysOf({ signing_key: `ed25519 a ${SEED}` })).current[0]!.key.verifyKey.base64
    const { old } = await keysOf({
      signing_key: `ed25519 b ${SEED}`,
      old_signing_keys: { 'ed25519:a': { key: publicKey, expired_ts: 9 } },
    })
    expect(old).to.have.length(1)
    expect(old[0]).to.include({ keyId: 'ed25519:a', expiredTs: 9 })
  })

  it('says how to make a key where there is none', async () => {
    const error = (await rejection(keysOf({ signing_key_path: scratch.path('none') }))) as Error
    expect(error).to.be.instanceOf(ConfigError)
    expect(error.message).to.contain('mxhs keys generate --output')
  })

  it('says what is wrong with a key, but not the key', async () => {
    const error = (await rejection(keysOf({ signing_key: 'ed25519 a tooshort' }))) as Error
    expect(error).to.be.instanceOf(ConfigError)
    expect(error.message)
      .to.match(/^signing_key: /)
      .and.not.contain('tooshort')
  })
})
