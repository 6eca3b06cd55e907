import { expect } from 'chai'
import type { StateEventKind } from '../../../../src/config/sections/rooms.js'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { PrejoinState, type PrejoinWish } from '../../../../src/services/events/prejoin-state.js'
import { forEachDatabase } from '../../../support/databases.js'
import {
  ALICE,
  BOB,
  createEventFixture,
  createRoom,
  type EventFixture,
} from '../../../support/event-services.js'

forEachDatabase('PrejoinState', (open) => {
  let fixture: EventFixture
  let roomId: RoomId
  let roomNid: number

  before(async () => {
    fixture = await createEventFixture(await open())
    const many = Array.from({ length: 130 }, (_, index) => index.toString().padStart(3, '0'))
    roomId = await createRoom(fixture, {
      drafts: [
        { type: 'm.room.member', stateKey: BOB, content: { membership: 'invite' } },
        { type: 'm.room.name', stateKey: '', content: { name: 'Tea' } },
        { type: 'm.room.name', stateKey: 'other', content: { name: 'Coffee' } },
        ...many.map((stateKey) => ({ type: 'org.example.many', stateKey, content: {} })),
      ],
    })
    ;({ roomNid } = await fixture.roomState.requireRoom(roomId))
  })

  async function shown(
    kinds: readonly StateEventKind[],
    wish: Omit<PrejoinWish, 'roomNid'> = {},
  ): Promise<string[]> {
    const prejoin = new PrejoinState(fixture.stores, kinds)
    const [events] = await prejoin.list(fixture.db.reader, [{ roomNid, ...wish }])
    return events!.map(({ event }) => `${event.type}|${event.stateKey}`).sort()
  }

  const create = { type: 'm.room.create', stateKey: '' }

  it('shows a piece of state by its key, or all of a type', async () => {
    expect(await shown([create, { type: 'm.room.name', stateKey: '' }])).to.deep.equal([
      'm.room.create|',
      'm.room.name|',
    ])
    const both = ['m.room.name|', 'm.room.name|other']
    expect(await shown([{ type: 'm.room.name', stateKey: undefined }])).to.deep.equal(both)
    expect(
      await shown([
        { type: 'm.room.name', stateKey: '' },
        { type: 'm.room.name', stateKey: undefined },
      ]),
    ).to.deep.equal(both)
  })

  it('shows who invites, and no other member unless all are wanted', async () => {
    expect(await shown([], { inviter: ALICE })).to.deep.equal([`m.room.member|${ALICE}`])
    expect(await shown([], { inviter: '@nobody:hs.test' as UserId })).to.deep.equal([])
    const members = [{ type: 'm.room.member', stateKey: undefined }]
    expect(await shown(members, { inviter: ALICE })).to.deep.equal([
      `m.room.member|${ALICE}`,
      `m.room.member|${BOB}`,
    ])
    const prejoin = new PrejoinState(fixture.stores, [create])
    const lists = await prejoin.list(fixture.db.reader, [
      { roomNid, inviter: ALICE },
      { roomNid, inviter: BOB },
      { roomNid },
    ])
    expect(lists.map((events) => events.map(({ event }) => event.stateKey))).to.deep.equal([
      ['', ALICE],
      ['', BOB],
      [''],
    ])
  })

  it('shows no more than a hundred events of a type', async () => {
    expect(await shown([{ type: 'org.example.many', stateKey: undefined }])).to.have.length(100)
  })

  it('asks for all rooms at once', async () => {
    const prejoin = new PrejoinState(fixture.stores, [create, { type: 'm.room.name', stateKey: undefined }])
    const other = await createRoom(fixture)
    const rooms = [roomNid, (await fixture.roomState.requireRoom(other)).roomNid]
    const wishes = rooms.map((nid) => ({ roomNid: nid, inviter: ALICE }))
    await prejoin.list(fixture.db.reader, wishes)
    const before = fixture.counts.reads
    expect(await prejoin.list(fixture.db.reader, wishes)).to.have.length(2)
    expect(fixture.counts.reads - before).to.be.at.most(3)
  })
})
