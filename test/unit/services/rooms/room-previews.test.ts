import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import type { Requester } from '../../../../src/services/accounts/requester.js'
import type { RoomWish } from '../../../../src/services/rooms/room-creation.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { createRoomFixture, type RoomFixture } from '../../../support/room-services.js'

const withJoinRules = (content: JsonObject, roomVersion?: string): RoomWish => ({
  preset: 'private_chat',
  initialState: [{ type: 'm.room.join_rules', stateKey: '', content }],
  roomVersion,
})

forEachDatabase('RoomPreviews', (open) => {
  let fixture: RoomFixture
  let alice: Requester
  let bob: Requester

  beforeEach(async () => {
    fixture = await createRoomFixture(await open())
    alice = await fixture.user('alice')
    bob = await fixture.user('bob')
  })

  const get = (roomId: RoomId, reader: Requester = bob): Promise<JsonObject> =>
    fixture.services.roomSummaries.get(reader.userId, roomId)
  const isVisible = async (roomId: RoomId, reader: Requester = bob): Promise<boolean> =>
    get(roomId, reader).then(
      () => true,
      () => false,
    )

  it('say of a room what its state says, and what the reader is to it', async () => {
    const roomId = await fixture.createRoom(alice, {
      preset: 'public_chat',
      roomVersion: '11',
      name: 'Cats',
      initialState: [
        { type: 'm.room.encryption', stateKey: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      ],
    })
    const summary = {
      room_id: roomId,
      name: 'Cats',
      num_joined_members: 1,
      join_rule: 'public',
      world_readable: false,
      guest_can_join: false,
      room_version: '11',
      encryption: 'm.megolm.v1.aes-sha2',
    }
    expect(await get(roomId)).to.deep.equal({ ...summary, membership: 'leave' })
    expect(await get(roomId, alice)).to.deep.equal({ ...summary, membership: 'join' })
    expect(await fixture.services.roomSummaries.get(undefined, roomId)).to.deep.equal(summary)
  })

  it('are for those who may join or knock', async () => {
    expect(await isVisible(await fixture.createRoom(alice, withJoinRules({ join_rule: 'public' })))).to.equal(
      true,
    )
    expect(await isVisible(await fixture.createRoom(alice, withJoinRules({ join_rule: 'knock' })))).to.equal(
      true,
    )
    for (const [joinRule, version] of [
      ['invite', '11'],
      ['private', '11'],
      ['knock', '6'],
      ['knock_restricted', '9'],
      ['restricted', '7'],
      ['restricted', '11'],
    ] as const) {
      const roomId = await fixture.createRoom(alice, withJoinRules({ join_rule: joinRule }, version))
      expect(await isVisible(roomId), `${joinRule} in ${version}`).to.equal(false)
      expect(await isVisible(roomId, alice)).to.equal(true)
    }
  })

  it('are for those who are in one of the rooms that the join rule names', async () => {
    const club = await fixture.createRoom(alice, { preset: 'public_chat' })
    const allow = [{ type: 'm.room_membership', room_id: club }]
    const roomId = await fixture.createRoom(alice, withJoinRules({ join_rule: 'restricted', allow }))
    expect(await isVisible(roomId)).to.equal(false)
    await fixture.services.roomMembership.join(bob, club)
    expect((await get(roomId))['allowed_room_ids']).to.deep.equal([club])
    await fixture.services.roomMembership.leave(bob, club, undefined)
    expect(await isVisible(roomId)).to.equal(false)
  })

  it('are for the invited, and not for the banned', async () => {
    const closed = await fixture.createRoom(alice, { preset: 'private_chat', invite: [bob.userId] })
    expect((await get(closed))['membership']).to.equal('invite')
    const opened = await fixture.createRoom(alice, { preset: 'public_chat' })
    await fixture.services.roomMembership.ban(alice, opened, { userId: bob.userId, reason: undefined })
    expect(await isVisible(opened)).to.equal(false)
  })

  it('are for everybody where everybody may read', async () => {
    const roomId = await fixture.createRoom(alice, {
      preset: 'private_chat',
      initialState: [
        {
          type: 'm.room.history_visibility',
          stateKey: '',
          content: { history_visibility: 'world_readable' },
        },
      ],
    })
    expect((await fixture.services.roomSummaries.get(undefined, roomId))['world_readable']).to.equal(true)
  })

  it('are not there for rooms that nobody of this server is in, and for unknown ones', async () => {
    const roomId = await fixture.createRoom(alice, { preset: 'public_chat' })
    await fixture.services.roomMembership.leave(alice, roomId, undefined)
    for (const gone of [roomId, '!unknown:hs.test' as RoomId]) {
      expect(await rejection(get(gone))).to.include({ errcode: 'M_NOT_FOUND' })
    }
  })
})
