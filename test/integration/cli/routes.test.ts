import { expect } from 'chai'
import Routes from '../../../commands/routes.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'

describe('mxhs routes', () => {
  it('lists methods, paths, operations and who may call them', async () => {
    const { stdout, exitCode } = await runCommand(Routes)
    expect(exitCode).to.equal(0)
    const [head, ...lines] = stdout.trimEnd().split('\n')
    expect(head!.split(/\s+/)).to.deep.equal(['METHOD', 'PATH', 'OPERATION', 'AUTH'])
    const rows = lines.map((line) => line.split(/\s+/))
    expect(rows).to.deep.include(['GET', '/_matrix/client/versions', 'getVersions', 'none'])
    expect(rows.every((row) => row.length === 4)).to.equal(true)
  })

  it('lists the same for programs', async () => {
    const { stdout } = await runCommand(Routes, '--json')
    const rows = expectCommandJson('routes', stdout) as { path: string }[]
    expect(rows.length).to.be.greaterThan(50)
    expect(rows.map(({ path }) => path)).to.include.members([
      '/_matrix/client/r0/login',
      '/_matrix/client/v3/login',
      '/_synapse/admin/v1/register',
    ])
  })
})
