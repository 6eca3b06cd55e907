import { readdirSync, readFileSync, statSync } from 'node:fs'
import { expect } from 'chai'
import { parse } from 'yaml'
import CheckConfig from '../../../commands/check-config.js'
import GenerateConfig from '../../../commands/generate-config.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs generate-config', () => {
  const scratch = useScratch()

  it('prints a configuration that is complete in itself', async () => {
    const { stdout, exitCode } = await runCommand(GenerateConfig, '--server-name', 'example.org')
    expect(exitCode).to.equal(0)
    const config = parse(stdout) as Record<string, unknown>
    expect(config['server_name']).to.equal('example.org')
    expect(config['signing_key']).to.match(/^ed25519 a_\w+ /)
    const path = scratch.write('homeserver.yaml', stdout)
    expect(await runCommand(CheckConfig, '-c', path)).to.deep.equal({
      stdout: 'The configuration of example.org is valid.\n',
      stderr: '',
      exitCode: 0,
    })
  })

  it('writes files, names them on standard output, and never overwrites them', async () => {
    const argv = ['--server-name', 'example.org', '--output', scratch.path('conf')]
    const first = await runCommand(GenerateConfig, ...argv)
    expect(first.exitCode).to.equal(0)
    expect(first.stdout.trim().split('\n')).to.deep.equal([
      scratch.path('conf/homeserver.yaml'),
      scratch.path('conf/example.org.signing.key'),
      scratch.path('conf/example.org.log.config'),
    ])
    expect(first.stderr).to.contain(`mxhs start -c ${scratch.path('conf/homeserver.yaml')}`)
    expect(statSync(scratch.path('conf/homeserver.yaml')).mode & 0o777).to.equal(0o600)
    const before = readFileSync(scratch.path('conf/homeserver.yaml'), 'utf8')

    const second = await runCommand(GenerateConfig, ...argv)
    expect(second.exitCode).to.equal(1)
    expect(second.stdout).to.equal('')
    expect(second.stderr).to.contain('exists already')
    expect(readFileSync(scratch.path('conf/homeserver.yaml'), 'utf8')).to.equal(before)
    expect((await runCommand(CheckConfig, '-c', scratch.path('conf'))).exitCode).to.equal(0)
  })

  it('configures PostgreSQL', async () => {
    const { stdout } = await runCommand(
      GenerateConfig,
      ...[
        '--server-name',
        'example.org',
        '--database',
        'postgres',
        '--database-password',
        's"x',
        '--report-stats',
        'yes',
      ],
    )
    const config = parse(stdout) as Record<string, unknown>
    expect(config['report_stats']).to.equal(true)
    expect(config['database']).to.deep.equal({
      name: 'psycopg2',
      args: { user: 'mxhs', password: 's"x', dbname: 'mxhs', host: 'localhost', port: 5432, cp_max: 10 },
    })
  })

  it('is called in a wrong way without a server name, or with what is none', async () => {
    const none = await runCommand(GenerateConfig)
    expect(none.exitCode).to.equal(2)
    expect(none.stderr).to.contain('--server-name')
    const bad = await runCommand(
      GenerateConfig,
      '--server-name',
      'https://example.org',
      '--output',
      scratch.directory,
    )
    expect(bad.exitCode).to.equal(2)
    expect(readdirSync(scratch.directory)).to.deep.equal([])
  })

  it('tells programs what it has written', async () => {
    const { stdout } = await runCommand(
      GenerateConfig,
      ...['--server-name', 'example.org', '--output', scratch.directory, '--json'],
    )
    const { files } = expectCommandJson('generate-config', stdout) as { files: unknown[] }
    expect(files).to.have.length(3)
    expect(files[0]).to.deep.equal({ path: scratch.path('homeserver.yaml'), existed: false })
  })
})
