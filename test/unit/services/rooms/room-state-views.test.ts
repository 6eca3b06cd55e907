import { expect } from 'chai'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { ALICE, BOB, ReadingFixture, readerOf } from '../../../support/reading-services.js'

const NAME = ['m.room.name', ''] as const

forEachDatabase('RoomStateViews', (open) => {
  let hs: ReadingFixture
  let roomId: RoomId

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
    roomId = await hs.createRoom()
    await setName('old')
    await hs.join(BOB, roomId)
  })

  async function setName(name: string): Promise<void> {
    await hs.send(ALICE, roomId, { type: 'm.room.name', stateKey: '', content: { name } })
  }

  const nameFor = (userId: UserId) => hs.services.roomStateViews.getContent(userId, roomId, NAME)

  it('shows members the state of now, and those who have left that of leaving', async () => {
    await hs.leave(BOB, roomId)
    await setName('new')
    expect(await nameFor(ALICE)).to.deep.equal({ name: 'new' })
    expect(await nameFor(BOB)).to.deep.equal({ name: 'old' })
    const whole = await hs.services.roomStateViews.list(readerOf(BOB), roomId)
    expect(whole.find((event) => event['type'] === 'm.room.name')).to.have.nested.property(
      'content.name',
      'old',
    )
    expect(whole.find((event) => event['state_key'] === BOB)).to.have.nested.property(
      'content.membership',
      'leave',
    )
    expect(await hs.services.roomStateViews.list(readerOf(ALICE), roomId)).to.have.length(whole.length)
  })

  it('takes the end of the stay, not what happened to the membership afterwards', async () => {
    await hs.leave(BOB, roomId)
    await setName('new')
    await hs.setMembership(roomId, 'ban', { target: BOB, by: ALICE })
    expect(await nameFor(BOB)).to.deep.equal({ name: 'old' })
  })

  it('gives one piece whole on request', async () => {
    const event = await hs.services.roomStateViews.getEvent(readerOf(ALICE), roomId, NAME)
    expect(event).to.include({ type: 'm.room.name', state_key: '', sender: ALICE, room_id: roomId })
    expect(event).to.include.keys('event_id', 'origin_server_ts', 'content')
  })

  it('has no state that is not there', async () => {
    for (const key of [
      ['m.room.topic', ''],
      ['m.room.name', 'x'],
    ] as const) {
      const error = await rejection(hs.services.roomStateViews.getContent(ALICE, roomId, key))
      expect(error).to.include({ errcode: 'M_NOT_FOUND', status: 404 })
    }
  })

  it('is for strangers only where the room is world-readable', async () => {
    const stranger = '@stranger:hs.test' as UserId
    expect(await rejection(nameFor(stranger))).to.include({ errcode: 'M_FORBIDDEN', status: 403 })
    await hs.send(ALICE, roomId, {
      type: 'm.room.history_visibility',
      stateKey: '',
      content: { history_visibility: 'world_readable' },
    })
    expect(await nameFor(stranger)).to.deep.equal({ name: 'old' })
  })
})
