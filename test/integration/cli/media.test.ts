import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect } from 'chai'
import MediaCheck from '../../../commands/media/check.js'
import MediaUsage from '../../../commands/media/usage.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runCommand } from '../../support/commands.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs media', function () {
  this.timeout(30_000)
  const scratch = useScratch()

  function config(): string {
    const database = `database: {name: sqlite3, args: {database: ${scratch.path('a.db')}}}`
    const media = `media_store_path: ${scratch.path('media')}`
    return scratch.write('homeserver.yaml', `server_name: a.org\n${database}\n${media}\n`)
  }

  function leaveBehind(name: string): void {
    const path = scratch.path(`media/content/00/11/${name}`)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, 'x'.repeat(2000))
    utimesSync(path, 1, 1)
  }

  it('check finds what is wrong, and puts it right where it is told to', async () => {
    const path = config()
    const clean = await runCommand(MediaCheck, '-c', path)
    expect([clean.exitCode, clean.stdout]).to.deep.equal([0, '0 files are as they should be, 0 are not.\n'])
    leaveBehind('0011')
    const found = await runCommand(MediaCheck, '-c', path)
    expect(found.exitCode).to.equal(1)
    expect(found.stdout).to.match(/^unused {4}content\/00\/11\/0011 {2}2\.0 KiB {2}\/.*media\n/)
    expect(found.stderr).to.equal('error: Something is wrong: --fix puts it right\n')
    const json = await runCommand(MediaCheck, '-c', path, '--json')
    expect(json.exitCode).to.equal(1)
    expect(expectCommandJson('media-check', json.stdout)).to.have.nested.property('orphans[0].length', 2000)
    expect((await runCommand(MediaCheck, '-c', path, '--fix')).exitCode).to.equal(0)
    expect((await runCommand(MediaCheck, '-c', path)).exitCode).to.equal(0)
  })

  it('usage shows what files take', async () => {
    const path = config()
    const { stdout, exitCode } = await runCommand(MediaUsage, '-c', path)
    expect([exitCode, stdout.split('\n')[0]]).to.deep.equal([0, '0 files, 0 B'])
    const { stdout: text } = await runCommand(MediaUsage, '-c', path, '--json')
    const json = expectCommandJson('media-usage', text)
    expect(json).to.deep.include({ stored: { files: 0, bytes: 0 }, byUser: [], byServer: [] })
  })
})
