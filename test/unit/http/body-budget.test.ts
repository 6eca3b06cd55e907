import { expect } from 'chai'
import { BodyBudget } from '../../../src/http/body-budget.js'
import type { MatrixError } from '../../../src/protocol/errors.js'

const MIB = 1024 * 1024
/** What a body of which each byte is copied is counted for. */
const QUARTER = MIB / 4

function codeOf(take: () => void): string | undefined {
  try {
    take()
    return undefined
  } catch (error) {
    return (error as MatrixError).errcode
  }
}

describe('http/body-budget', () => {
  it('lets any number of small bodies pass', () => {
    const budget = new BodyBudget(0)
    for (let count = 0; count < 100; count++) {
      const lease = budget.lease()
      lease.takeBytes(QUARTER / 2)
      lease.takeParts(MIB / 2 / 64)
    }
    expect(codeOf(() => budget.lease().takeBytes(QUARTER + 1))).to.equal('M_LIMIT_EXCEEDED')
  })

  it('bounds what large ones take together, as they grow', () => {
    const budget = new BodyBudget(4 * MIB)
    const [one, other] = [budget.lease(), budget.lease()]
    for (const lease of [one, other]) for (let chunk = 0; chunk < 3; chunk++) lease.takeBytes(QUARTER)
    expect(codeOf(() => one.takeParts(1))).to.equal('M_LIMIT_EXCEEDED')
    other.giveBack()
    expect(codeOf(() => one.takeParts((2 * MIB) / 64))).to.equal(undefined)
    expect(codeOf(() => other.takeBytes(QUARTER + 1))).to.equal('M_LIMIT_EXCEEDED')
  })

  it('has everything back at the end, however often that is said', () => {
    const budget = new BodyBudget(4 * MIB)
    const lease = budget.lease()
    for (let use = 0; use < 3; use++) {
      lease.takeBytes(5 * QUARTER)
      expect(codeOf(() => budget.lease().takeBytes(QUARTER + 1))).to.equal('M_LIMIT_EXCEEDED')
      lease.giveBack()
      lease.giveBack()
    }
  })
})
