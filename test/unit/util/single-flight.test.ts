import { expect } from 'chai'
import { createDeferred } from '../../../src/util/deferred.js'
import { SingleFlight } from '../../../src/util/single-flight.js'

describe('SingleFlight', () => {
  it('answers those who ask at the same time once', async () => {
    const flights = new SingleFlight<number>()
    const gate = createDeferred<number>()
    let runs = 0
    const ask = (): Promise<number> =>
      flights.run('key', () => {
        runs++
        return gate.promise
      })
    const answers = [ask(), ask(), ask()]
    gate.resolve(7)
    expect(await Promise.all(answers)).to.deep.equal([7, 7, 7])
    expect(runs).to.equal(1)
    expect(await ask()).to.equal(7)
    expect(runs).to.equal(2)
  })

  it('keeps keys apart', async () => {
    const flights = new SingleFlight<string>()
    const answers = ['a', 'b'].map((key) => flights.run(key, () => Promise.resolve(key)))
    expect(flights.size).to.equal(2)
    expect(await Promise.all(answers)).to.deep.equal(['a', 'b'])
    expect(flights.size).to.equal(0)
  })

  it('shares a failure, and forgets it', async () => {
    const flights = new SingleFlight<number>()
    const fail = (): Promise<number> =>
      flights.run('key', () => {
        throw new Error('boom')
      })
    const outcomes = await Promise.allSettled([fail(), fail()])
    expect(outcomes.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected'])
    expect(await flights.run('key', () => Promise.resolve(1))).to.equal(1)
  })
})
