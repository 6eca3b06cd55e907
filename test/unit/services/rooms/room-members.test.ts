import { expect } from 'chai'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { parsePaginationToken } from '../../../../src/protocol/pagination-token.js'
import type { MembersRequest } from '../../../../src/services/rooms/room-members.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { ALICE, BOB, CAROL, ReadingFixture, readerOf } from '../../../support/reading-services.js'

forEachDatabase('RoomMembers', (open) => {
  let hs: ReadingFixture
  let roomId: RoomId

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
    roomId = await hs.createRoom()
  })

  async function list(
    request: Partial<Omit<MembersRequest, 'at'>> & { at?: string; user?: typeof ALICE } = {},
  ): Promise<Record<string, unknown>> {
    const { at, user = ALICE, ...rest } = request
    const members = await hs.services.roomMembers.list(readerOf(user), {
      roomId,
      membership: undefined,
      notMembership: undefined,
      ...rest,
      at: at === undefined ? undefined : parsePaginationToken(at, 'at'),
    })
    return Object.fromEntries(
      members.map((event) => [event['state_key'] as string, (event['content'] as JsonObject)['membership']]),
    )
  }

  it('lists everybody with a membership, or those of one', async () => {
    await hs.join(BOB, roomId)
    await hs.leave(BOB, roomId)
    await hs.setMembership(roomId, 'invite', { target: CAROL, by: ALICE })
    expect(await list()).to.deep.equal({ [ALICE]: 'join', [BOB]: 'leave', [CAROL]: 'invite' })
    expect(await list({ membership: 'join' })).to.deep.equal({ [ALICE]: 'join' })
    expect(await list({ notMembership: 'leave' })).to.deep.equal({ [ALICE]: 'join', [CAROL]: 'invite' })
    expect(await list({ membership: 'leave', notMembership: 'join' })).to.deep.equal({
      [BOB]: 'leave',
      [CAROL]: 'invite',
    })
  })

  it('lists who was there at a point in time', async () => {
    await hs.join(BOB, roomId)
    const [then] = await hs.get((await hs.say(ALICE, roomId, 'then'))[0]!)
    await hs.leave(BOB, roomId)
    await hs.join(CAROL, roomId)
    const expected = { [ALICE]: 'join', [BOB]: 'join' }
    expect(await list({ at: `s${then!.streamOrdering}_1_1` })).to.deep.equal(expected)
    expect(await list({ at: `t${then!.event.depth}-${then!.streamOrdering}` })).to.deep.equal(expected)
    expect(await list({ at: 's999999' })).to.deep.equal({ [ALICE]: 'join', [BOB]: 'leave', [CAROL]: 'join' })
    expect(await list({ at: `s${then!.streamOrdering}`, membership: 'leave' })).to.deep.equal({})
  })

  it('takes a point before everything for the one at which the room came to have members', async () => {
    await hs.join(BOB, roomId)
    expect(await list({ at: 't0-0' })).to.deep.equal({ [ALICE]: 'join' })
    expect(await list({ at: 's0' })).to.deep.equal({ [ALICE]: 'join' })
  })

  it('does not tell who was there when the reader could not see it', async () => {
    roomId = await hs.createRoom({ historyVisibility: 'joined' })
    const [before] = await hs.get((await hs.say(ALICE, roomId, 'before'))[0]!)
    await hs.join(BOB, roomId)
    const error = await rejection(list({ user: BOB, at: `s${before!.streamOrdering}` }))
    expect(error).to.include({ errcode: 'M_FORBIDDEN' })
  })

  it('shows those who have left who was there when they left', async () => {
    await hs.join(BOB, roomId)
    await hs.leave(BOB, roomId)
    await hs.join(CAROL, roomId)
    expect(await list({ user: BOB })).to.deep.equal({ [ALICE]: 'join', [BOB]: 'leave' })
    expect(await list({ user: BOB, at: 's999999' })).to.deep.equal({ [ALICE]: 'join', [BOB]: 'leave' })
    expect(await list({ user: BOB, membership: 'join' })).to.deep.equal({ [ALICE]: 'join' })
    expect(await rejection(list({ user: '@stranger:hs.test' as typeof ALICE }))).to.include({
      errcode: 'M_FORBIDDEN',
    })
  })

  it('gives the profiles of those who are in the room to those who are', async () => {
    await hs.send(BOB, roomId, {
      type: 'm.room.member',
      stateKey: BOB,
      content: { membership: 'join', displayname: 'Bob', avatar_url: 'mxc://hs.test/bob' },
    })
    await hs.setMembership(roomId, 'invite', { target: CAROL, by: ALICE })
    expect(await hs.services.roomMembers.listJoined(as(ALICE), roomId)).to.deep.equal({
      [ALICE]: { display_name: null, avatar_url: null },
      [BOB]: { display_name: 'Bob', avatar_url: 'mxc://hs.test/bob' },
    })
    await hs.leave(BOB, roomId)
    for (const user of [BOB, CAROL]) {
      const error = await rejection(hs.services.roomMembers.listJoined(as(user), roomId))
      expect(error).to.include({ errcode: 'M_FORBIDDEN' })
    }
  })

  it('gives them to everybody where everybody may read', async () => {
    await hs.send(ALICE, roomId, {
      type: 'm.room.history_visibility',
      stateKey: '',
      content: { history_visibility: 'world_readable' },
    })
    expect(await hs.services.roomMembers.listJoined(as(CAROL), roomId)).to.have.all.keys(ALICE)
    await hs.join(BOB, roomId)
    await hs.leave(BOB, roomId)
    const error = await rejection(hs.services.roomMembers.listJoined(as(BOB), roomId))
    expect(error).to.include({ errcode: 'M_FORBIDDEN' })
  })
})

function as(userId: UserId): { userId: UserId; appserviceId: undefined } {
  return { userId, appserviceId: undefined }
}
