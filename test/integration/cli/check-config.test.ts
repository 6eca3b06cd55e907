import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { parse } from 'yaml'
import CheckConfig from '../../../commands/check-config.js'
import Start from '../../../commands/start.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { useScratch } from '../../support/scratch.js'

const KEY = `signing_key: "ed25519 a_test ${'A'.repeat(43)}"\n`
const GOOD = `server_name: example.org\n${KEY}listeners: [{port: 8008, resources: [{names: [client]}]}]\n`

describe('mxhs check-config', () => {
  const scratch = useScratch()

  it('says on standard error what is wrong and where', async () => {
    const path = scratch.write('homeserver.yaml', `${GOOD}rc_mesage: {per_second: 1}\n`)
    expect(await runCommand(CheckConfig, '-c', path)).to.deep.equal({
      stdout: '',
      stderr: `error: ${path}:4:1: rc_mesage: unknown key; did you mean rc_message?\n`,
      exitCode: 1,
    })
  })

  it('warns, and goes on', async () => {
    const path = scratch.write('homeserver.yaml', `${GOOD}saml2_config: {enabled: true}\n`)
    const { stdout, stderr, exitCode } = await runCommand(CheckConfig, '-c', path)
    expect(exitCode).to.equal(0)
    expect(stdout).to.contain('valid')
    expect(stderr).to.equal(`warning: ${path}:4:1: saml2_config: mxhs does not serve this key yet\n`)
  })

  it('merges several files', async () => {
    const first = scratch.write('a.yaml', GOOD)
    const second = scratch.write('b.yaml', 'server_name: other.org\n')
    const { stdout } = await runCommand(CheckConfig, '-c', first, '-c', second)
    expect(stdout).to.equal('The configuration of other.org is valid.\n')
  })

  it('looks at the files that the configuration names', async () => {
    const key = scratch.write('homeserver.yaml', GOOD.replace(KEY, ''))
    expect((await runCommand(CheckConfig, '-c', key)).stderr).to.contain('there is no signing key at')
    const log = scratch.write('log.yaml', `${GOOD}log_config: ${scratch.path('none')}\n`)
    expect((await runCommand(CheckConfig, '-c', log)).stderr).to.contain('log_config:')
    const tls = scratch.write('not-a.crt', 'nonsense')
    const listener = GOOD.replace('{port', '{tls: true, port')
    const text = `${listener}tls_certificate_path: ${tls}\ntls_private_key_path: ${tls}\n`
    const { stderr, exitCode } = await runCommand(CheckConfig, '-c', scratch.write('tls.yaml', text))
    expect(exitCode).to.equal(1)
    expect(stderr).to.contain('tls_certificate_path: cannot be used')
  })

  it('gives programs all issues with their places', async () => {
    const path = scratch.write('homeserver.yaml', 'server_name: 5\nfrobnicate: 1\n')
    const { stdout, exitCode } = await runCommand(CheckConfig, '-c', path, '--json')
    expect(exitCode).to.equal(1)
    const { error } = expectCommandJson('error', stdout) as { error: { name: string; issues: unknown[] } }
    expect(error.name).to.equal('ConfigError')
    expect(error.issues).to.deep.include({
      location: { file: path, line: 2, column: 1 },
      path: 'frobnicate',
      message: 'unknown key',
    })
  })

  it('prints what counts, with defaults and without secrets', async () => {
    const path = scratch.write('homeserver.yaml', `${GOOD}form_secret: hidden\nsession_lifetime: 7d\n`)
    const { stdout } = await runCommand(CheckConfig, '-c', path, '--print-effective')
    expect(parse(stdout)).to.deep.include({
      form_secret: '********',
      session_lifetime: '7d',
      bcrypt_rounds: 12,
    })
    expect(stdout).to.not.contain('hidden').and.not.contain(KEY.slice(30))
    const json = await runCommand(CheckConfig, '-c', path, '--print-effective', '--json')
    const report = expectCommandJson('check-config', json.stdout) as { effective: unknown }
    expect(report.effective).to.deep.equal(parse(stdout))
    expectCommandJson('check-config', (await runCommand(CheckConfig, '-c', path, '--json')).stdout)
  })

  it('replaces keys that are out of date, and keeps the file as it was', async () => {
    const text = `# mine\n${GOOD}disable_registration: true # why not\n`
    const path = scratch.write('homeserver.yaml', text)
    chmodSync(path, 0o640)
    const shown = await runCommand(CheckConfig, '-c', path, '--migrate')
    expect(shown).to.deep.equal({
      stdout: `${path}\n@@ line 5 @@\n-disable_registration: true # why not\n+enable_registration: false\n`,
      stderr: 'Nothing has been written: --write does it.\n',
      exitCode: 0,
    })
    expect(readFileSync(path, 'utf8')).to.equal(text)
    const written = await runCommand(CheckConfig, '-c', path, '--migrate', '--write', '--json')
    const { files } = expectCommandJson('check-config', written.stdout) as { files: { backup: string }[] }
    expect(files[0]?.backup).to.equal(`${path}.bak`)
    expect(readFileSync(`${path}.bak`, 'utf8')).to.equal(text)
    expect(readFileSync(path, 'utf8')).to.equal(`# mine\n${GOOD}enable_registration: false\n`)
    expect(statSync(path).mode & 0o777).to.equal(0o640)
    const again = await runCommand(CheckConfig, '-c', path, '--migrate', '--write')
    expect([again.stdout, again.stderr]).to.deep.equal(['', 'No key is out of date that can be replaced.\n'])
    writeFileSync(path, 'use_presence: true\npresence: {}\nno_tls: true\n')
    const more = await runCommand(CheckConfig, '-c', path, '--migrate', '--write')
    expect(more.stderr).to.contain(`by hand: ${path}:1: use_presence:`).and.contain(`${path}.bak.1`)
    expect((await runCommand(CheckConfig, '-c', path, '--write')).exitCode).to.equal(2)
    expect((await runCommand(CheckConfig, '-c', scratch.path('none'), '--migrate')).exitCode).to.equal(1)
  })

  it('is what start --check does', async () => {
    const path = scratch.write('homeserver.yaml', GOOD)
    expect(await runCommand(Start, '--check', '-c', path)).to.deep.equal({
      stdout: 'The configuration of example.org is valid.\n',
      stderr: '',
      exitCode: 0,
    })
    expect((await runCommand(Start, '--check', '-c', scratch.path('none'))).exitCode).to.equal(1)
  })
})
