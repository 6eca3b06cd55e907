import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import {
  createEphemeralFixture,
  requesterOf,
  type EphemeralFixture,
} from '../../../support/ephemeral-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { RoomRows } from '../../../support/room-rows.js'

const alice = requesterOf('alice')
const bob = requesterOf('bob')

forEachDatabase('Typing', (open) => {
  let fixture: EphemeralFixture
  let room: RoomRows
  beforeEach(async () => {
    fixture = await createEphemeralFixture(await open())
    room = await RoomRows.create(fixture.db)
    await room.setMembership(alice.userId, 'join')
    await room.setMembership(bob.userId, 'join')
  })
  afterEach(() => fixture.typing.stop())

  const type = (requester: typeof alice, typing: boolean, timeoutMs?: number): Promise<void> =>
    fixture.typing.set(requester, { roomId: room.roomId, userId: requester.userId }, { typing, timeoutMs })

  it('shows who types, in the order in which they began, and wakes the room', async () => {
    await type(bob, true)
    await type(alice, true)
    expect(fixture.typing.usersTyping(room.roomId)).to.deep.equal([bob.userId, alice.userId])
    const told = fixture.positions.filter(({ stream }) => stream === 'typing')
    expect(told).to.deep.equal([
      { stream: 'typing', hints: { rooms: [room.roomId] } },
      { stream: 'typing', hints: { rooms: [room.roomId] } },
    ])
  })

  it('ends when the user says so, and when the time is over', async () => {
    await type(alice, true, 5000)
    await type(bob, true)
    await type(bob, false)
    expect(fixture.typing.usersTyping(room.roomId)).to.deep.equal([alice.userId])
    fixture.clock.advance(4999)
    expect(fixture.typing.usersTyping(room.roomId)).to.deep.equal([alice.userId])
    fixture.clock.advance(1)
    expect(fixture.typing.usersTyping(room.roomId)).to.deep.equal([])
  })

  it('goes on when it is said again, without a new position', async () => {
    await type(alice, true, 5000)
    const position = fixture.typing.position()
    fixture.clock.advance(3000)
    await type(alice, true, 5000)
    expect(fixture.typing.position()).to.equal(position)
    fixture.clock.advance(4000)
    expect(fixture.typing.usersTyping(room.roomId)).to.deep.equal([alice.userId])
  })

  it('lasts two minutes at most, and half a minute unless said otherwise', async () => {
    await type(alice, true, 10_000_000)
    await type(bob, true)
    fixture.clock.advance(30_000)
    expect(fixture.typing.usersTyping(room.roomId)).to.deep.equal([alice.userId])
    fixture.clock.advance(90_000)
    expect(fixture.typing.usersTyping(room.roomId)).to.deep.equal([])
  })

  it('is only for members, and only for oneself', async () => {
    const carol = requesterOf('carol')
    expect(await rejection(type(carol, true))).to.include({ errcode: 'M_FORBIDDEN' })
    const other = fixture.typing.set(alice, { roomId: room.roomId, userId: bob.userId }, { typing: true })
    expect(await rejection(other)).to.include({ errcode: 'M_FORBIDDEN' })
    const nowhere = { roomId: '!none:hs.test' as RoomId, userId: alice.userId }
    expect(await rejection(fixture.typing.set(alice, nowhere, { typing: true }))).to.include({
      errcode: 'M_FORBIDDEN',
    })
  })

  it('says which rooms have changed since a position', async () => {
    const start = fixture.typing.position()
    await type(alice, true)
    const middle = fixture.typing.position()
    await type(alice, false)
    const end = fixture.typing.position()
    expect([...fixture.typing.changedRooms(start, end)]).to.deep.equal([room.roomId])
    expect([...fixture.typing.changedRooms(middle, end)]).to.deep.equal([room.roomId])
    expect([...fixture.typing.changedRooms(end, end)]).to.deep.equal([])
    expect(start).to.equal(fixture.clock.now())
  })

  it('forgets who leaves the room', async () => {
    await type(alice, true)
    await type(bob, true)
    await room.setMembership(bob.userId, 'leave')
    await fixture.typing.onMembershipChange({ rooms: [room.roomId], users: [alice.userId, bob.userId] })
    expect(fixture.typing.usersTyping(room.roomId)).to.deep.equal([alice.userId])
  })

  it('does not remember rooms for ever', async () => {
    const start = fixture.typing.position()
    await type(alice, true)
    await type(alice, false)
    fixture.clock.advance(20 * 60_000)
    const other = await RoomRows.create(fixture.db, { value: 900 })
    await other.setMembership(alice.userId, 'join')
    await fixture.typing.set(alice, { roomId: other.roomId, userId: alice.userId }, { typing: true })
    const changed = fixture.typing.changedRooms(start, fixture.typing.position())
    expect([...changed]).to.deep.equal([other.roomId])
  })

  it('leaves no timer when it stops', async () => {
    await type(alice, true)
    await fixture.presence.stop()
    fixture.typing.stop()
    expect(fixture.clock.pending).to.equal(0)
  })
})
