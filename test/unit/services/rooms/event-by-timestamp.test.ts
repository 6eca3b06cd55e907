import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { ALICE, BOB, CAROL, ReadingFixture } from '../../../support/reading-services.js'

const FUTURE = 9_000_000_000_000

forEachDatabase('EventByTimestamp', (open) => {
  let hs: ReadingFixture
  let roomId: RoomId

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
    roomId = await hs.createRoom({ historyVisibility: 'joined' })
  })

  async function find(direction: 'b' | 'f', ts: number, user = ALICE): Promise<EventId> {
    return (await hs.services.eventByTimestamp.find(user, roomId, { ts, direction })).eventId
  }

  it('finds the closest event in either direction', async () => {
    const first = await hs.send(ALICE, roomId, { ts: FUTURE + 10 })
    const second = await hs.send(ALICE, roomId, { ts: FUTURE + 30 })
    expect(await find('f', FUTURE)).to.equal(first)
    expect(await find('f', FUTURE + 11)).to.equal(second)
    expect(await find('f', FUTURE + 30)).to.equal(second)
    expect(await find('b', FUTURE + 29)).to.equal(first)
    expect(await find('b', FUTURE + 30)).to.equal(second)
    expect(
      await hs.services.eventByTimestamp.find(ALICE, roomId, { ts: FUTURE, direction: 'f' }),
    ).to.deep.equal({
      eventId: first,
      originServerTs: FUTURE + 10,
    })
  })

  it('says 404 when there is none', async () => {
    for (const [direction, ts] of [
      ['f', FUTURE],
      ['b', 0],
    ] as const) {
      expect(await rejection(find(direction, ts))).to.include({ errcode: 'M_NOT_FOUND', status: 404 })
    }
  })

  it('passes over what the reader may not see', async () => {
    await hs.send(ALICE, roomId, { ts: FUTURE + 10 })
    await hs.join(BOB, roomId)
    const seen = await hs.send(ALICE, roomId, { ts: FUTURE + 20 })
    expect(await find('f', FUTURE, BOB)).to.equal(seen)
    expect(await rejection(find('f', FUTURE, CAROL))).to.include({ errcode: 'M_FORBIDDEN' })
  })
})
