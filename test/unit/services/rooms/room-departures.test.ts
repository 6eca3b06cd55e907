import { expect } from 'chai'
import { forEachDatabase } from '../../../support/databases.js'
import { createRoomFixture } from '../../../support/room-services.js'

forEachDatabase('room departures', (open) => {
  it('leave rooms, decline invitations and take knocks back', async () => {
    const fixture = await createRoomFixture(await open())
    const alice = await fixture.user('alice')
    const bob = await fixture.user('bob')
    const { roomMembership, departures } = fixture.services
    const joined = await fixture.createRoom(alice, { preset: 'public_chat' })
    const invited = await fixture.createRoom(alice, { invite: [bob.userId] })
    const knocked = await fixture.createRoom(alice, {
      initialState: [{ type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'knock' } }],
    })
    const banned = await fixture.createRoom(alice)
    await roomMembership.join(bob, joined)
    await roomMembership.knock(bob, knocked, undefined)
    await roomMembership.ban(alice, banned, { userId: bob.userId, reason: undefined })
    await departures.leaveAllRooms(bob.userId)
    for (const roomId of [joined, invited, knocked]) {
      expect(await fixture.membership(roomId, bob.userId)).to.equal('leave')
    }
    expect(await fixture.membership(banned, bob.userId)).to.equal('ban')
    expect(await fixture.membership(joined, alice.userId)).to.equal('join')
    await departures.leaveAllRooms(bob.userId)
    expect(fixture.errors).to.deep.equal([])
  })
})
