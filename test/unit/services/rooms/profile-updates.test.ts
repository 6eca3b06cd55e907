import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import { forEachDatabase } from '../../../support/databases.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

forEachDatabase('profile updates', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester
  let rooms: RoomId[]

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
    rooms = []
    for (let index = 0; index < 3; index++) {
      rooms.push(await fixture.createRoom(alice, { preset: 'public_chat' }))
    }
  })

  const change = async (
    field: string,
    profile: { displayName?: string; avatarUrl?: string },
    options: { propagate?: boolean; requester?: Requester } = {},
  ): Promise<void> => {
    const { propagate = true, requester = alice } = options
    await fixture.setProfile(alice.userId, profile)
    const record = { displayName: profile.displayName, avatarUrl: profile.avatarUrl, fields: {} }
    fixture.services.profileUpdates.onProfileChanged({
      userId: alice.userId,
      field,
      profile: record,
      propagate,
      requester,
    })
  }
  const member = (roomId: RoomId, of = alice) => fixture.state(roomId, 'm.room.member', of.userId)

  it('reach all rooms that the user is in, and keep what else memberships say', async () => {
    const { roomMembership, profileUpdates } = fixture.services
    await roomMembership.join(alice, rooms[0]!, { content: { displayname: 'Al', 'org.example.x': 1 } })
    await roomMembership.leave(alice, rooms[2]!, undefined)
    await change('displayname', { displayName: 'Alice', avatarUrl: 'mxc://hs.test/old' })
    await profileUpdates.settle()
    expect(await member(rooms[0]!)).to.deep.equal({
      membership: 'join',
      displayname: 'Alice',
      'org.example.x': 1,
    })
    expect(await member(rooms[1]!)).to.deep.equal({ membership: 'join', displayname: 'Alice' })
    expect(await member(rooms[2]!)).to.deep.equal({ membership: 'leave' })
    expect(fixture.errors).to.deep.equal([])
  })

  it('take names away', async () => {
    await change('displayname', { displayName: 'Alice' })
    await change('displayname', {})
    await fixture.services.profileUpdates.settle()
    for (const roomId of rooms) expect(await member(roomId)).to.deep.equal({ membership: 'join' })
  })

  it('end with the newest of many changes at once', async () => {
    for (let index = 0; index < 5; index++) await change('displayname', { displayName: `Alice ${index}` })
    await change('avatar_url', { displayName: 'Alice 4', avatarUrl: 'mxc://hs.test/a' })
    await fixture.services.profileUpdates.settle()
    for (const roomId of rooms) {
      expect(await member(roomId)).to.deep.equal({
        membership: 'join',
        displayname: 'Alice 4',
        avatar_url: 'mxc://hs.test/a',
      })
    }
    expect(await fixture.stores.profileUpdates.listUsers(fixture.db.reader)).to.deep.equal([])
  })

  it('do not happen for other fields, unasked, or for the shadow-banned', async () => {
    await change('m.tz', { displayName: 'A' })
    await change('displayname', { displayName: 'B' }, { propagate: false })
    await change('displayname', { displayName: 'C' }, { requester: { ...alice, isShadowBanned: true } })
    await fixture.services.profileUpdates.settle()
    expect(await member(rooms[0]!)).to.deep.equal({ membership: 'join' })
  })

  it('leave the names of others alone', async () => {
    await fixture.setProfile(bob.userId, { displayName: 'Bob' })
    await fixture.services.roomMembership.join(bob, rooms[0]!)
    await change('displayname', { displayName: 'Alice' })
    await fixture.services.profileUpdates.settle()
    expect(await member(rooms[0]!, bob)).to.deep.equal({ membership: 'join', displayname: 'Bob' })
  })

  it('go on where a stop has interrupted them', async () => {
    const { profileUpdates } = fixture.services
    await profileUpdates.stop()
    await change('displayname', { displayName: 'Alice' })
    await profileUpdates.settle()
    expect(await member(rooms[0]!)).to.deep.equal({ membership: 'join' })
    expect(await fixture.stores.profileUpdates.listUsers(fixture.db.reader)).to.deep.equal([alice.userId])
    const next = await createRoomFixture(fixture.db)
    await next.services.profileUpdates.resume()
    await next.services.profileUpdates.settle()
    for (const roomId of rooms) {
      expect(await next.state(roomId, 'm.room.member', alice.userId)).to.include({ displayname: 'Alice' })
    }
    expect(await fixture.stores.profileUpdates.listUsers(fixture.db.reader)).to.deep.equal([])
  })
})
