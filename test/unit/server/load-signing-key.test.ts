import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { SigningKeyError } from '../../../src/protocol/signing-keys.js'
import { loadSigningKey } from '../../../src/server/load-signing-key.js'
import { rejection } from '../../support/rejection.js'
import { testConfig } from '../../support/homeserver.js'

const SEED = 'A'.repeat(43)

describe('server/load-signing-key', () => {
  let directory = ''

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mxhs-keys-'))
  })

  afterEach(() => rm(directory, { recursive: true, force: true }))

  function settings(given: { inline?: string; path?: string }) {
    return { ...testConfig().signingKeys, inline: given.inline, path: given.path ?? '/nonexistent' }
  }

  it('takes the key of the configuration, or the first of the key file', async () => {
    const path = join(directory, 'hs.test.signing.key')
    await writeFile(path, `ed25519 a_file ${SEED}\ned25519 a_next ${SEED}\n`)
    expect((await loadSigningKey(settings({ path }))).keyId).to.equal('ed25519:a_file')
    expect((await loadSigningKey(settings({ path, inline: `ed25519 a_own ${SEED}` }))).keyId).to.equal(
      'ed25519:a_own',
    )
  })

  it('makes no key where there is none', async () => {
    const path = join(directory, 'missing.key')
    const error = await rejection(loadSigningKey(settings({ path })))
    expect(error).to.be.instanceOf(SigningKeyError)
    expect((error as Error).message).to.contain(path)
    await writeFile(path, 'nonsense here\n')
    expect(await rejection(loadSigningKey(settings({ path })))).to.be.instanceOf(SigningKeyError)
  })
})
