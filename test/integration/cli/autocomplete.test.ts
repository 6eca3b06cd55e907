import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { runProgram } from '../../support/commands.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs autocomplete', function () {
  this.timeout(30_000)
  const scratch = useScratch()

  /** What bash offers for the last of these words. */
  async function complete(...words: string[]): Promise<string[]> {
    const script = [
      `source "$1"; shift`,
      `COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))`,
      `$(complete -p mxhs | sed 's/.*-F \\([^ ]*\\).*/\\1/')`,
      `printf '%s\\n' "\${COMPREPLY[@]}"`,
    ].join('\n')
    const functions = scratch.path('mxhs/autocomplete/functions/bash/mxhs.bash')
    const { stdout } = await promisify(execFile)('bash', ['-c', script, 'bash', functions, ...words])
    return stdout.trim().split('\n')
  }

  it('lets a shell complete commands and flags', async () => {
    const made = await runProgram(['autocomplete', 'bash', '--refresh-cache'], {
      env: { XDG_CACHE_HOME: scratch.directory, HOME: scratch.directory },
    })
    expect(made.exitCode).to.equal(0)
    expect(await complete('mxhs', 'do')).to.deep.equal(['doctor'])
    expect(await complete('mxhs', 'federation', '')).to.include.members(['check', 'resolve', 'status'])
    expect(await complete('mxhs', 'doctor', '--')).to.include.members(['--config', '--fix', '--json'])
  })
})
