import { expect } from 'chai'
import { ManualClock } from '../../support/manual-clock.js'

describe('ManualClock', () => {
  it('runs what falls due, in order and at its time', () => {
    const clock = new ManualClock(1000)
    const seen: [string, number][] = []
    const note = (name: string) => (): void => void seen.push([name, clock.now()])
    clock.setTimeout(note('late'), 50)
    clock.setTimeout(note('early'), 10)
    clock.setTimeout(note('too late'), 51)
    clock.setTimeout(note('cancelled'), 20).cancel()
    clock.setTimeout(() => clock.setTimeout(note('nested'), 5), 20)
    clock.advance(50)
    expect(seen).to.deep.equal([
      ['early', 1010],
      ['nested', 1025],
      ['late', 1050],
    ])
    expect(clock.now()).to.equal(1050)
    expect(clock.pending).to.equal(1)
  })

  it('wakes those who sleep, also in a loop', async () => {
    const clock = new ManualClock()
    let rounds = 0
    const loop = (async () => {
      for (; rounds < 3; rounds++) await clock.sleep(10)
    })()
    await clock.advanceAsync(25)
    expect(rounds).to.equal(2)
    await clock.advanceAsync(5)
    await loop
    const abort = new AbortController()
    const sleeping = clock.sleep(10, abort.signal)
    abort.abort(new Error('up'))
    expect(await sleeping.catch((error: unknown) => (error as Error).message)).to.equal('up')
    expect(clock.pending).to.equal(0)
  })
})
