import { expect } from 'chai'
import type { RoomAlias } from '../../../../src/protocol/ids.js'
import { forEachDatabase } from '../../../support/databases.js'
import { createRoomFixture } from '../../../support/room-services.js'

const HALL = '#hall:hs.test' as RoomAlias

forEachDatabase('automatic joins', (open) => {
  it('make missing rooms once and bring everybody in', async () => {
    const fixture = await createRoomFixture(await open(), {
      autoJoin: { rooms: [HALL, '#elsewhere:example.org'], isFederated: false },
      limits: { joinsLocal: { perSecond: 0.001, burstCount: 1 } },
    })
    const users = [await fixture.user('alice'), await fixture.user('bob'), await fixture.user('carol')]
    const { autoJoin, aliases } = fixture.services
    await Promise.all(users.map(({ userId }) => autoJoin.joinAutoJoinRooms(userId)))
    const { roomId } = await aliases.resolve(HALL)
    for (const { userId } of users) expect(await fixture.membership(roomId, userId)).to.equal('join')
    expect(await fixture.state(roomId, 'm.room.create')).to.have.property('m.federate', false)
    expect(fixture.errors).to.deep.equal([])
  })

  it('invite into rooms that are not public', async () => {
    const fixture = await createRoomFixture(await open(), {
      autoJoin: { rooms: [HALL], preset: 'private_chat', inviterLocalpart: 'bot' },
    })
    const bot = await fixture.user('bot')
    const alice = await fixture.user('alice')
    const { autoJoin, aliases } = fixture.services
    await autoJoin.joinAutoJoinRooms(alice.userId)
    const { roomId } = await aliases.resolve(HALL)
    expect(await fixture.membership(roomId, bot.userId)).to.equal('join')
    expect(await fixture.membership(roomId, alice.userId)).to.equal('join')
    expect(fixture.errors).to.deep.equal([])
  })

  it('say what goes wrong and never fail', async () => {
    const fixture = await createRoomFixture(await open(), {
      autoJoin: { rooms: ['!unknown:hs.test', HALL], createsRooms: false },
    })
    const alice = await fixture.user('alice')
    await fixture.services.autoJoin.joinAutoJoinRooms(alice.userId)
    expect(fixture.errors).to.have.length(1)
    expect(await fixture.services.roomMembership.listJoined(alice.userId)).to.deep.equal([])
  })
})
