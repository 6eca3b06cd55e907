import { readFileSync, statSync } from 'node:fs'
import { expect } from 'chai'
import { parse } from 'yaml'
import KeysExport from '../../../commands/keys/export.js'
import KeysGenerate from '../../../commands/keys/generate.js'
import KeysShow from '../../../commands/keys/show.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { useScratch } from '../../support/scratch.js'

const KEY = `ed25519 a_test ${'A'.repeat(43)}\n`
/** Of a private key that is all zeros. */
const PUBLIC = 'O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik'

describe('mxhs keys', () => {
  const scratch = useScratch()

  it('generates a key file that it can read', async () => {
    const { stdout } = await runCommand(KeysGenerate)
    expect(stdout).to.match(/^ed25519 a_[A-Za-z]{4} [A-Za-z0-9+/]{43}\n$/)
    const path = scratch.write('key', stdout)
    expect((await runCommand(KeysShow, path)).stdout).to.match(/^ed25519:a_[A-Za-z]{4} [A-Za-z0-9+/]{43}\n$/)
  })

  it('generates into a file that only its owner can read, and never overwrites', async () => {
    const path = scratch.path('key')
    expect(await runCommand(KeysGenerate, '--output', path)).to.deep.equal({
      stdout: `${path}\n`,
      stderr: '',
      exitCode: 0,
    })
    const json = await runCommand(KeysGenerate, '--output', scratch.path('other'), '--json')
    expect(expectCommandJson('keys-generate', json.stdout)).to.deep.equal({ path: scratch.path('other') })
    expectCommandJson('keys-generate', (await runCommand(KeysGenerate, '--json')).stdout)
    expect(statSync(path).mode & 0o777).to.equal(0o600)
    const before = readFileSync(path, 'utf8')
    expect((await runCommand(KeysGenerate, '--output', path)).exitCode).to.equal(1)
    expect(readFileSync(path, 'utf8')).to.equal(before)
  })

  it('shows the public key of a file or of a configuration', async () => {
    const expected = { stdout: `ed25519:a_test ${PUBLIC}\n`, stderr: '', exitCode: 0 }
    expect(await runCommand(KeysShow, scratch.write('key', KEY))).to.deep.equal(expected)
    const config = scratch.write('homeserver.yaml', `server_name: a.org\nsigning_key: "${KEY.trim()}"\n`)
    expect(await runCommand(KeysShow, '-c', config)).to.deep.equal(expected)
    const { stdout } = await runCommand(KeysShow, '-c', config, '--json')
    expect(expectCommandJson('keys-show', stdout)).to.deep.equal([
      { keyId: 'ed25519:a_test', publicKey: PUBLIC },
    ])
  })

  it('exports lines for old_signing_keys', async () => {
    const path = scratch.write('key', KEY)
    const { stdout } = await runCommand(KeysExport, '-x', '--expiry-ts', '1700000000000', path)
    expect(parse(stdout)).to.deep.equal({ 'ed25519:a_test': { key: PUBLIC, expired_ts: 1_700_000_000_000 } })
    const json = await runCommand(KeysExport, '-x', path, '--json')
    expect(expectCommandJson('keys-export', json.stdout)).to.have.nested.property('[0].expiredTs')
  })

  it('exports the keys of several files', async () => {
    const second = scratch.write('second', KEY.replace('a_test', 'b_test'))
    const { stdout } = await runCommand(KeysExport, scratch.write('first', KEY), second)
    expect(stdout).to.equal(`ed25519:a_test ${PUBLIC}\ned25519:b_test ${PUBLIC}\n`)
  })

  it('fails for what is no key file, without showing it', async () => {
    const path = scratch.write('key', 'ed25519 a_test notsosecret\n')
    const { stderr, exitCode } = await runCommand(KeysShow, path)
    expect(exitCode).to.equal(1)
    expect(stderr).to.contain(path).and.not.contain('notsosecret')
    expect((await runCommand(KeysExport, scratch.path('none'))).exitCode).to.equal(1)
  })
})
