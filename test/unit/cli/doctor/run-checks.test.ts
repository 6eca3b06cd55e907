import { expect } from 'chai'
import type { DoctorCheck, DoctorContext } from '../../../../src/cli/doctor/doctor-check.js'
import { failure, ok, worstOf, type Finding } from '../../../../src/cli/doctor/finding.js'
import { runChecks, type CheckResult } from '../../../../src/cli/doctor/run-checks.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { doctorContext } from '../../../support/doctor-context.js'
import { ManualClock } from '../../../support/manual-clock.js'

function check(name: string, run: () => Promise<readonly Finding[]>): DoctorCheck {
  return { name, summary: '', usesNetwork: false, run }
}

describe('runChecks', () => {
  const clock = new ManualClock()
  let context: DoctorContext

  before(async () => {
    context = await doctorContext({}, { clock })
  })

  function run(checks: DoctorCheck[], fixes = false, onResult?: (result: CheckResult) => void) {
    return runChecks(checks, context, { fixes, timeoutMs: 5_000, ...(onResult && { onResult }) })
  }

  it('tells results in the order of the checks, whichever ends first', async () => {
    const slow = createDeferred<Finding[]>()
    const told: string[] = []
    const running = run(
      [check('slow', () => slow.promise), check('quick', () => Promise.resolve([ok('here')]))],
      false,
      (result) => told.push(result.check),
    )
    slow.resolve([ok('at last')])
    const results = await running
    expect(told).to.deep.equal(['slow', 'quick'])
    expect(results[1]).to.deep.equal({ check: 'quick', findings: [{ level: 'ok', summary: 'here' }] })
  })

  it('takes what fails and what takes too long for findings', async () => {
    const never = new Promise<Finding[]>(() => undefined)
    const running = run([
      check('late', () => never),
      check('broken', () => Promise.reject(new Error('oh no'))),
    ])
    clock.advance(5_000)
    const [late, broken] = await running
    expect(late?.findings[0]).to.deep.include({ level: 'error', summary: 'this took longer than 5 seconds' })
    expect(broken?.findings[0]).to.deep.include({
      level: 'error',
      summary: 'this could not be looked at: oh no',
      cure: 'mxhs doctor --only broken',
    })
  })

  it('mends only when it is told to, and says so', async () => {
    const done: string[] = []
    const remedy = { consequence: 'bad', cure: 'rm it' }
    const mendable = check('mendable', () =>
      Promise.resolve([
        failure('stale', { ...remedy, mend: () => Promise.resolve(`removed ${done.push('x')}`) }),
        failure('stuck', { ...remedy, mend: () => Promise.reject(new Error('not yours')) }),
        failure('serious', remedy),
      ]),
    )
    const [looked] = await run([mendable])
    expect(looked?.findings.map((finding) => Object.keys(finding))).to.deep.equal(
      Array(3).fill(['level', 'summary', 'consequence', 'cure']),
    )
    expect(done).to.deep.equal([])
    const [mended] = await run([mendable], true)
    expect(mended?.findings).to.deep.equal([
      { level: 'info', summary: 'stale', fixed: 'removed 1' },
      { level: 'error', summary: 'stuck', consequence: 'bad (not mended: not yours)', cure: 'rm it' },
      { level: 'error', summary: 'serious', ...remedy },
    ])
  })

  it('knows what is worst', () => {
    expect(worstOf([])).to.equal('ok')
    expect(worstOf(['info', 'ok'])).to.equal('info')
    expect(worstOf(['warning', 'error', 'ok'])).to.equal('error')
  })
})
