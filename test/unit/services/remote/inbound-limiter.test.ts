import { expect } from 'chai'
import { InboundLimiter } from '../../../../src/services/remote/inbound-limiter.js'
import { createDeferred, type Deferred } from '../../../../src/util/deferred.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const LIMITS = { windowMs: 1000, sleepLimit: 10, sleepDelayMs: 500, rejectLimit: 5, concurrent: 3 }

describe('InboundLimiter', () => {
  let clock: ManualClock
  let limiter: InboundLimiter
  let started: Deferred<void>[]
  beforeEach(() => {
    clock = new ManualClock()
    limiter = new InboundLimiter(LIMITS, clock)
    started = []
  })

  function request(serverName = 'a.test'): Promise<string> {
    return limiter.run(serverName, async () => {
      const gate = createDeferred()
      started.push(gate)
      await gate.promise
      return 'done'
    })
  }

  it('answers so many at once, and the others in their order', async () => {
    const requests = Array.from({ length: 5 }, () => request())
    await clock.advanceAsync(0)
    expect(started).to.have.length(3)
    started[0]!.resolve()
    expect(await requests[0]).to.equal('done')
    await clock.advanceAsync(0)
    expect(started).to.have.length(4)
    for (let index = 1; index < 5; index++) {
      await clock.advanceAsync(0)
      started[index]!.resolve()
    }
    expect(await Promise.all(requests)).to.have.length(5)
  })

  it('does not let servers wait for each other', async () => {
    for (let count = 0; count < 4; count++) void request('a.test')
    void request('b.test')
    await clock.advanceAsync(0)
    expect(started).to.have.length(4)
  })

  it('refuses when too many wait', async () => {
    const requests = Array.from({ length: 8 }, () => request())
    expect(await rejection(request())).to.include({ errcode: 'M_LIMIT_EXCEEDED', status: 429 })
    for (let index = 0; index < 8; index++) {
      await clock.advanceAsync(0)
      started[index]!.resolve()
    }
    expect(await Promise.all(requests)).to.have.length(8)
  })

  it('slows down what comes too fast', async () => {
    for (let count = 0; count < 10; count++) await limiter.run('a.test', () => Promise.resolve())
    const late = request()
    await clock.advanceAsync(499)
    expect(started).to.have.length(0)
    await clock.advanceAsync(1)
    expect(started).to.have.length(1)
    started[0]!.resolve()
    await late
    clock.advance(2000)
    void request()
    await clock.advanceAsync(0)
    expect(started).to.have.length(2)
  })

  it('gives places back after failures', async () => {
    for (let count = 0; count < 9; count++) {
      await rejection(limiter.run('a.test', () => Promise.reject(new Error('failed'))))
    }
    void request()
    await clock.advanceAsync(0)
    expect(started).to.have.length(1)
  })

  it('forgets servers that are idle', async () => {
    await limiter.run('a.test', async () => {
      await clock.advanceAsync(2000)
    })
    expect(limiter.size).to.equal(0)
  })
})
