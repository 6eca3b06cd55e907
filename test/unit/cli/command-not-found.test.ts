import { expect } from 'chai'
import { explainUnknown } from '../../../src/cli/command-not-found.js'
import { runProgram } from '../../support/commands.js'

describe('a command that there is not', () => {
  const known = ['start', 'check-config', 'users:list', 'users:show']

  it('may be one that was misspelt', () => {
    expect(explainUnknown('strat', known)).to.equal(
      'there is no command mxhs strat: did you mean mxhs start?',
    )
    expect(explainUnknown('users:lst', known)).to.contain('did you mean mxhs users list?')
    expect(explainUnknown('quit', known)).to.equal('there is no command mxhs quit: mxhs --help lists all')
  })

  it('may be an argument of one that takes none', () => {
    expect(explainUnknown('check-config:a.yaml', known)).to.match(
      /^mxhs check-config takes no argument, .* a\.yaml /,
    )
    expect(explainUnknown('users:list:a:b', known)).to.match(/^mxhs users list takes no argument, .* a:b /)
  })

  it('is an error of the usage, on standard error', async () => {
    const run = await runProgram(['doctr'])
    expect(run).to.deep.equal({
      stdout: '',
      stderr: 'error: there is no command mxhs doctr: did you mean mxhs doctor?\n',
      exitCode: 2,
    })
  })
})
