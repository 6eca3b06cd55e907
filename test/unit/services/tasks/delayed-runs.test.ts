import { expect } from 'chai'
import { DelayedRuns } from '../../../../src/services/tasks/delayed-runs.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { ManualClock } from '../../../support/manual-clock.js'

describe('services/tasks/delayed-runs', () => {
  function start(run: (signal: AbortSignal) => Promise<void>) {
    const clock = new ManualClock()
    const errors: unknown[] = []
    const runs = new DelayedRuns({ clock, delayMs: 1000, run, onError: (error) => errors.push(error) })
    return { clock, errors, runs }
  }

  it('answers many reasons with one run, a little later', async () => {
    let count = 0
    const { clock, runs } = start(() => {
      count++
      return Promise.resolve()
    })
    runs.schedule()
    runs.schedule()
    clock.advance(999)
    await nextTurn()
    expect(count).to.equal(0)
    clock.advance(1)
    await nextTurn()
    expect(count).to.equal(1)
    clock.advance(5000)
    await nextTurn()
    expect(count).to.equal(1)
    runs.schedule()
    clock.advance(1000)
    await nextTurn()
    expect(count).to.equal(2)
  })

  it('runs again for reasons that come while it runs, and never twice at a time', async () => {
    const gates = [createDeferred(), createDeferred()]
    let begun = 0
    const { clock, runs } = start(async () => {
      await gates[begun++]?.promise
    })
    runs.schedule()
    clock.advance(1000)
    await nextTurn()
    runs.schedule()
    clock.advance(5000)
    await nextTurn()
    expect(begun).to.equal(1)
    gates[0]?.resolve()
    await nextTurn()
    clock.advance(1000)
    await nextTurn()
    expect(begun).to.equal(2)
    gates[1]?.resolve()
    await runs.stop()
  })

  it('goes on after failures', async () => {
    const failure = new Error('no')
    const { clock, errors, runs } = start(() => Promise.reject(failure))
    for (let round = 0; round < 2; round++) {
      runs.schedule()
      clock.advance(1000)
      await nextTurn()
    }
    expect(errors).to.deep.equal([failure, failure])
  })

  it('ends: what runs is told so, and nothing begins any more', async () => {
    let aborted = false
    const { clock, errors, runs } = start(
      (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted = true
            reject(new Error('aborted'))
          })
        }),
    )
    runs.schedule()
    clock.advance(1000)
    await nextTurn()
    await runs.stop()
    expect([aborted, errors]).to.deep.equal([true, []])
    runs.schedule()
    clock.advance(5000)
    await nextTurn()
  })
})
