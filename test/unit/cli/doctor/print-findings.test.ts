import { stripVTControlCharacters } from 'node:util'
import { expect } from 'chai'
import { printFindings, summarize } from '../../../../src/cli/doctor/print-findings.js'
import type { CheckResult } from '../../../../src/cli/doctor/run-checks.js'

const RESULT: CheckResult = {
  check: 'files',
  findings: [
    { level: 'ok', summary: 'fine' },
    { level: 'error', summary: 'too open', consequence: 'all can read it', cure: 'chmod 600 x' },
    { level: 'info', summary: 'stale', fixed: 'removed' },
  ],
}

describe('printFindings', () => {
  it('uses words in a pipe, and never wraps there', () => {
    expect(printFindings(RESULT, { isTerminal: false, width: 0 }).split('\n')).to.deep.equal([
      'ok      files         fine',
      'ERROR                 too open',
      '                      so:    all can read it',
      '                      to do: chmod 600 x',
      'info                  stale',
      '                      done:  removed',
    ])
  })

  it('uses marks on a terminal, and wraps what is no command', () => {
    const long = 'word '.repeat(30).trim()
    const findings = [{ level: 'warning' as const, summary: long, consequence: long, cure: long }]
    const text = printFindings({ check: 'disk', findings }, { isTerminal: true, width: 80 })
    const lines = stripVTControlCharacters(text).split('\n')
    expect(lines[0]).to.match(/^! disk {10}word/)
    expect(lines.filter((line) => line.length <= 80)).to.have.length(lines.length - 1)
    expect(lines.at(-1)).to.equal(`${' '.repeat(16)}to do: ${long}`)
  })

  it('counts at the end', () => {
    expect(summarize([RESULT])).to.equal('1 error.')
    expect(summarize([])).to.equal('Nothing is wrong.')
    const warnings = Array<CheckResult['findings'][number]>(2).fill({ level: 'warning', summary: '' })
    expect(summarize([RESULT, RESULT, { check: 'x', findings: warnings }])).to.equal(
      '2 errors and 2 warnings.',
    )
  })
})
