import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import { JoinsUnderWay } from '../../../../src/services/federation/joins-under-way.js'
import { createDeferred } from '../../../../src/util/deferred.js'
import { rejection } from '../../../support/rejection.js'

const ROOM = '!room:other.test' as RoomId
const OTHER = '!other:other.test' as RoomId

describe('JoinsUnderWay', () => {
  let joins: JoinsUnderWay
  let done: string[]

  beforeEach(() => {
    joins = new JoinsUnderWay()
    done = []
  })

  function hold(name: string, { roomId = ROOM, events = 1 } = {}): boolean {
    return joins.hold(roomId, events, () => {
      done.push(name)
      return Promise.resolve()
    })
  }

  it('holds what comes of a room that is being joined until that has ended, in its order', async () => {
    const joined = createDeferred<string>()
    const join = joins.run(ROOM, () => joined.promise)
    expect([hold('first'), hold('second'), hold('other', { roomId: OTHER })]).to.deep.equal([
      true,
      true,
      false,
    ])
    expect(done).to.deep.equal([])
    joined.resolve('in')
    expect(await join).to.equal('in')
    await joins.settle()
    expect(done).to.deep.equal(['first', 'second'])
    expect(hold('late')).to.equal(false)
  })

  it('lets go of it when the join has failed, and when the last of several has ended', async () => {
    const [first, second] = [createDeferred(), createDeferred()]
    const [failing, lasting] = [first, second].map(({ promise }) => joins.run(ROOM, () => promise))
    hold('held')
    first.reject(new Error('no'))
    expect(await rejection(failing!)).to.be.instanceOf(Error)
    await joins.settle()
    expect(done).to.deep.equal([])
    second.resolve()
    await lasting
    await joins.settle()
    expect(done).to.deep.equal(['held'])
  })

  it('holds only so much over all rooms, until it is dealt with', async () => {
    const joined = createDeferred()
    const both = [ROOM, OTHER].map((roomId) => joins.run(roomId, () => joined.promise))
    expect(hold('many', { events: 400 })).to.equal(true)
    expect(hold('too many', { roomId: OTHER, events: 101 })).to.equal(false)
    expect(hold('few', { roomId: OTHER, events: 100 })).to.equal(true)
    joined.resolve()
    await Promise.all(both)
    await joins.settle()
    const again = joins.run(ROOM, () => Promise.resolve(hold('again', { events: 500 })))
    expect(await again).to.equal(true)
    await joins.settle()
    expect(done).to.have.members(['many', 'few', 'again'])
  })
})
