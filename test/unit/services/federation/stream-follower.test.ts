import { expect } from 'chai'
import { StreamFollower } from '../../../../src/services/federation/stream-follower.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { nextTurn } from '../../../../src/util/clock.js'

describe('StreamFollower', () => {
  it('takes each stretch once, one at a time', async () => {
    let position = 5
    const taken: [number, number][] = []
    const first = createDeferred()
    const follower = new StreamFollower({
      position: () => position,
      take: async (after, upTo) => {
        taken.push([after, upTo])
        if (taken.length === 1) await first.promise
      },
      onError: () => undefined,
    })
    follower.kick()
    expect(taken).to.deep.equal([])
    follower.start(3)
    position = 9
    follower.kick()
    first.resolve()
    await nextTurn()
    expect(taken).to.deep.equal([
      [3, 5],
      [5, 9],
    ])
    follower.kick()
    await nextTurn()
    expect(taken).to.have.length(2)
  })

  it('takes what has failed again with what follows', async () => {
    let position = 1
    const taken: [number, number][] = []
    const errors: unknown[] = []
    const follower = new StreamFollower({
      position: () => position,
      take: (after, upTo) => {
        taken.push([after, upTo])
        return taken.length === 1 ? Promise.reject(new Error('no')) : Promise.resolve()
      },
      onError: (error) => errors.push(error),
    })
    follower.start(0)
    await nextTurn()
    position = 2
    follower.kick()
    await follower.stop()
    expect(taken).to.deep.equal([
      [0, 1],
      [0, 2],
    ])
    expect(errors).to.have.length(1)
    position = 3
    follower.kick()
    await nextTurn()
    expect(taken).to.have.length(2)
  })
})
