import { expect } from 'chai'
import type { EventId } from '../../../../src/protocol/ids.js'
import { createEphemeralFixture, requesterOf } from '../../../support/ephemeral-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'
import { RoomRows } from '../../../support/room-rows.js'

const alice = requesterOf('alice')
const bob = requesterOf('bob')

forEachDatabase('ReadMarkers', (open) => {
  it('moves the fully read marker and receipts together, never backwards', async () => {
    const fixture = await createEphemeralFixture(await open())
    const room = await RoomRows.create(fixture.db)
    await room.setMembership(alice.userId, 'join')
    const [first, second] = await room.sendMany([{ sender: bob.userId }, { sender: bob.userId }])
    const marked = async () =>
      (await fixture.accountDataStore.get(fixture.db.reader, alice.userId, room.roomId, 'm.fully_read'))?.[
        'event_id'
      ]
    await fixture.readMarkers.set(alice, room.roomId, {
      fullyRead: second,
      read: first,
      readPrivate: second,
    })
    expect(await marked()).to.equal(second)
    const told = fixture.positions.map(({ stream }) => stream)
    expect(told).to.include('account_data')
    await fixture.readMarkers.set(alice, room.roomId, {
      fullyRead: first,
      read: undefined,
      readPrivate: undefined,
    })
    expect(await marked()).to.equal(second)
    const receipts = await fixture.receipts.listForRooms(
      fixture.db.reader,
      [{ roomNid: room.roomNid, roomId: room.roomId }],
      { since: undefined, upTo: fixture.streams.receipts.position(), userId: alice.userId },
    )
    const content = receipts.get(room.roomId)
    expect(Object.keys(content?.[first!] ?? {})).to.deep.equal(['m.read'])
    expect(Object.keys(content?.[second!] ?? {})).to.deep.equal(['m.read.private'])
  })

  it('moves nothing when one of the events is not there', async () => {
    const fixture = await createEphemeralFixture(await open())
    const room = await RoomRows.create(fixture.db)
    await room.setMembership(alice.userId, 'join')
    const eventId = await room.send({ sender: bob.userId })
    const input = { fullyRead: eventId, read: '$unknown' as EventId, readPrivate: undefined }
    const error = await rejection(fixture.readMarkers.set(alice, room.roomId, input))
    expect(error).to.include({ errcode: 'M_NOT_FOUND' })
    const found = await fixture.accountDataStore.get(
      fixture.db.reader,
      alice.userId,
      room.roomId,
      'm.fully_read',
    )
    expect(found).to.equal(undefined)
  })
})
