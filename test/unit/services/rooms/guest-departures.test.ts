import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import { GuestDepartures } from '../../../../src/services/rooms/guest-departures.js'
import { StateDeltasStore } from '../../../../src/storage/stores/state-deltas.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, createEventFixture, createRoom } from '../../../support/event-services.js'

forEachDatabase('GuestDepartures', (open) => {
  it('looks at rooms whose guest access has changed since the last time', async () => {
    const fixture = await createEventFixture(await open())
    const { db, clock, stores, sender, eventStream } = fixture
    const rooms = [await createRoom(fixture), await createRoom(fixture)]
    const enforced: RoomId[] = []
    const departures = new GuestDepartures({
      db,
      clock,
      eventStream,
      rooms: stores.rooms,
      deltas: new StateDeltasStore(),
      guestAccess: { enforce: (roomId) => Promise.resolve(void enforced.push(roomId)) },
      onError: (error) => {
        throw error
      },
    })
    const set = (roomId: RoomId, type: string) =>
      sender.send({ userId: ALICE }, { roomId, type, stateKey: '', content: {} })
    const settle = async () => {
      departures.onNewPosition('events')
      clock.advance(500)
      await departures.stop()
    }
    await set(rooms[0]!, 'm.room.guest_access')
    await set(rooms[1]!, 'm.room.topic')
    await settle()
    expect(enforced).to.deep.equal([rooms[0]])
  })
})
