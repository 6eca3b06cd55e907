import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { EventId, RoomId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import type { StoredEvent } from '../../../../src/storage/stores/events.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { forEachDatabase } from '../../../support/databases.js'
import {
  ALICE,
  BOB,
  CAROL,
  createEventFixture,
  createRoom,
  joinOf,
  RemoteServer,
  type EventFixture,
} from '../../../support/event-services.js'
import { rejection } from '../../../support/rejection.js'

const DAVE = '@dave:hs.test' as UserId

forEachDatabase('rooms of partial state', (open) => {
  let home: EventFixture
  let here: EventFixture
  let roomId: RoomId
  let room: RoomRecord
  let join: StoredEvent
  /** The state before the join. */
  let whole: EventId[]

  beforeEach(async () => {
    home = await createEventFixture(await open())
    here = await createEventFixture(await open())
    roomId = await createRoom(home, { version: '11' })
    await home.sender.sendBatch({ userId: ALICE }, roomId, [
      { ...joinOf(BOB), sender: BOB },
      { ...joinOf(DAVE), sender: DAVE },
    ])
    const { rules, creator, roomType } = await home.roomState.requireRoom(roomId)
    room = await here.services.remoteRooms.ensure({ roomId, rules, creator, roomType })
    whole = Object.values(await home.currentState(roomId)) as EventId[]
    const remote = await RemoteServer.of(home, roomId)
    const event = await remote.make([(await eventsAtHome()).at(-1)!], { ...joinOf(CAROL), sender: CAROL })
    await remote.receive(event)
    const { stored } = await here.outliers.receive(room, (await eventsAtHome()).slice(0, -1))
    join = await here.services.roomAdopter.adopt({
      room,
      state: stored.filter(({ event: { type } }) => type !== 'm.room.member'),
      event,
      inTransaction: (tx, joinNid) =>
        here.services.partialRooms.insert(
          tx,
          { roomNid: room.roomNid, joinNid, servers: ['hs.test' as ServerName] },
          1,
        ),
    })
  })

  async function eventsAtHome(): Promise<Event[]> {
    return (await home.timeline(roomId)).map(({ event }) => event)
  }

  /** What somebody at home says, received here. */
  async function hear(
    userId: UserId,
    draft: { type: string; stateKey?: string; content: object },
  ): Promise<Event> {
    const [id] = await home.sender.sendBatch({ userId }, roomId, [draft as never])
    const { event } = (await home.stores.events.get(home.db.reader, id!))!
    const reception = await here.receiver.receive(room, event)
    expect(reception.outcome).to.equal('accepted')
    return event
  }

  const complete = (): Promise<boolean> => here.services.stateCompletion.complete(room, join, [whole])

  it('know members whom events name, and all when the state is whole', async () => {
    const { partialRooms } = here.services
    expect(partialRooms.isPartial(room.roomNid)).to.equal(true)
    expect(await here.currentState(roomId)).to.not.have.property(`m.room.member/${BOB}`)
    const said = await hear(BOB, { type: 'm.room.message', content: { body: 'hi' } })
    expect(await here.currentState(roomId)).to.have.property(`m.room.member/${BOB}`)
    await hear(DAVE, { type: 'm.room.member', stateKey: DAVE, content: { membership: 'leave' } })
    const waiting = partialRooms.whenWhole(room.roomNid)
    const before = here.eventStream.position()
    expect(await complete()).to.equal(true)
    await waiting
    expect(partialRooms.isPartial(room.roomNid)).to.equal(false)
    expect(partialRooms.completedBetween(before, here.eventStream.position())).to.deep.equal([room.roomNid])
    expect(await here.currentState(roomId)).to.deep.equal(await home.currentState(roomId))
    const row = await here.db.reader.first<{ joined_members: number }>(
      'SELECT joined_members FROM rooms WHERE room_nid = ?',
      [room.roomNid],
    )
    expect(row?.joined_members).to.equal(3)
    // The states at the events since are whole too, also for who reads them from the database.
    for (const fixture of [here, await here.restart()]) {
      const stored = await fixture.stores.events.get(fixture.db.reader, said.eventId)
      const state = await fixture.roomState.getStateAt(stored!.stateBefore!)
      const members = state
        .filter(({ event }) => event.type === 'm.room.member')
        .map(({ event }) => event.stateKey)
      expect(members.sort()).to.deep.equal([ALICE, BOB, CAROL, DAVE].sort())
    }
    // And the room goes on.
    await hear(ALICE, { type: 'm.room.topic', stateKey: '', content: { topic: 'news' } })
    await here.sender.send({ userId: CAROL }, { roomId, type: 'm.room.message', content: { body: 'yes' } })
  })

  it('are completed once, and for the join that they wait for only', async () => {
    const other = { ...join, eventNid: join.eventNid + 1_000 }
    expect(await here.services.stateCompletion.complete(room, other, [whole])).to.equal(false)
    expect(await complete()).to.equal(true)
    expect(await complete()).to.equal(false)
  })

  it('stay as they are where the completion is not stored', async () => {
    await hear(BOB, { type: 'm.room.message', content: { body: 'hi' } })
    const state = await here.currentState(roomId)
    here.failing.set('complete_state', [true])
    expect(await rejection(complete())).to.be.an('error')
    expect(await here.currentState(roomId)).to.deep.equal(state)
    expect(here.services.partialRooms.isPartial(room.roomNid)).to.equal(true)
    await here.sender.send({ userId: CAROL }, { roomId, type: 'm.room.message', content: { body: 'yes' } })
    expect(await complete()).to.equal(true)
    expect(await here.currentState(roomId)).to.deep.equal(await home.currentState(roomId))
  })

  it('are known after a restart, and not waited for without end', async () => {
    const { partialRooms } = (await here.restart()).services
    await partialRooms.load()
    expect(partialRooms.list()).to.deep.equal([
      { roomNid: room.roomNid, joinNid: join.eventNid, servers: ['hs.test'] },
    ])
    const waiting = rejection(here.services.partialRooms.whenWhole(room.roomNid))
    here.clock.advance(120_000)
    expect(await waiting).to.have.property('errcode', 'M_CONNECTION_TIMEOUT')
    await here.db.write('give_up', (tx) => here.services.partialRooms.delete(tx, room.roomNid))
    await here.services.partialRooms.whenWhole(room.roomNid)
    expect(here.services.partialRooms.completedBetween(0, 1_000)).to.deep.equal([])
  })
})
