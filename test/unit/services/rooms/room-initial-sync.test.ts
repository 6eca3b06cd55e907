import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { ALICE, BOB, ReadingFixture, readerOf } from '../../../support/reading-services.js'

forEachDatabase('RoomInitialSync', (open) => {
  let hs: ReadingFixture

  beforeEach(async () => {
    hs = await ReadingFixture.create(await open())
  })

  const get = (roomId: RoomId, user = ALICE, limit = 2) =>
    hs.services.roomInitialSync.get(readerOf(user), roomId, limit)

  it('shows members the latest messages in order, the state, and what they keep about the room', async () => {
    const roomId = await hs.createRoom()
    await hs.say(ALICE, roomId, 'one', 'two', 'three')
    const tags = { roomId, type: 'm.tag', content: { tags: {} } }
    await hs.db.write('test', (tx) => hs.stores.accountData.put(tx, ALICE, tags, 1))
    const room = await get(roomId)
    expect(room).to.deep.include({
      room_id: roomId,
      membership: 'join',
      visibility: 'private',
      account_data: [{ type: 'm.tag', content: { tags: {} } }],
    })
    const messages = room['messages'] as JsonObject & { chunk: JsonObject[] }
    expect(messages.chunk.map((event) => (event['content'] as JsonObject)['body'])).to.deep.equal([
      'two',
      'three',
    ])
    expect(messages).to.include.keys('start', 'end')
    expect(room['state']).to.have.length(4)
  })

  it('shows strangers world-readable rooms, and no others', async () => {
    const open = await hs.createRoom({ historyVisibility: 'world_readable' })
    await hs.say(ALICE, open, 'hello')
    const room = await get(open, BOB)
    expect(room).to.not.have.property('membership')
    expect((room['messages'] as { chunk: unknown[] }).chunk).to.have.length(2)
    expect(await rejection(get(await hs.createRoom(), BOB))).to.include({
      errcode: 'M_FORBIDDEN',
      status: 403,
    })
  })
})
