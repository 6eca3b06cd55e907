import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { EventId, RoomId, ServerName, UserId } from '../../../../src/protocol/ids.js'
import type { StoredEvent } from '../../../../src/storage/stores/events.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import type { JsonObject } from '../../../../src/util/json.js'
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
/** May do everything, and has left before anybody came in without the members. */
const EVE = '@eve:hs.test' as UserId

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
    roomId = await createRoom(home, { version: '11', levels: { users: { [ALICE]: 100, [EVE]: 100 } } })
    await home.sender.sendBatch({ userId: ALICE }, roomId, [
      { ...joinOf(BOB), sender: BOB },
      { ...joinOf(DAVE), sender: DAVE },
      { ...joinOf(EVE), sender: EVE },
      { type: 'm.room.member', stateKey: EVE, content: { membership: 'leave' }, sender: EVE },
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
        .filter(({ event }) => event.content['membership'] === 'join')
        .map(({ event }) => event.stateKey)
      expect(members.sort()).to.deep.equal([ALICE, BOB, CAROL, DAVE].sort())
    }
    // And the room goes on.
    await hear(ALICE, { type: 'm.room.topic', stateKey: '', content: { topic: 'news' } })
    await here.sender.send({ userId: CAROL }, { roomId, type: 'm.room.message', content: { body: 'yes' } })
  })

  describe('where somebody acts who had left before', () => {
    /** Tells this server what nobody at home would take: Eve, as if she had stayed, sends Bob away. */
    async function hearBadKick(membership = 'leave'): Promise<Event> {
      const kick = { type: 'm.room.member', stateKey: BOB, content: { membership } }
      return hearAfter(join.event, { ...kick, sender: EVE })
    }

    async function hearAfter(
      last: Event,
      draft: { type: string; stateKey?: string; content: JsonObject; sender: UserId },
    ): Promise<Event> {
      const remote = await RemoteServer.of(home, roomId, 'hs.test')
      const isAuth = ({ type, stateKey, content }: Event): boolean =>
        ['m.room.create', 'm.room.power_levels'].includes(type) ||
        (type === 'm.room.member' && stateKey === draft.sender && content['membership'] === 'join')
      const authEvents = (await eventsAtHome()).filter(isAuth)
      const event = await remote.make([last], { ...draft, authEvents })
      await here.receiver.receive(room, event)
      return event
    }

    async function verdictOn(event: Event): Promise<string | null> {
      // Also for who reads it from the database.
      const [now, later] = await Promise.all(
        [here, await here.restart()].map(({ stores, db }) => stores.events.get(db.reader, event.eventId)),
      )
      expect(now!.rejected).to.equal(later!.rejected)
      return now!.rejected
    }

    async function endsOfRoom(): Promise<EventId[]> {
      const ends = await here.stores.graph.listForwardExtremities(here.db.reader, room.roomNid)
      return ends.map(({ eventId }) => eventId)
    }

    it('reject in the end what they had to accept', async () => {
      const kick = await hearBadKick()
      expect(await verdictOn(kick)).to.equal(null)
      expect(await here.currentState(roomId)).to.have.property(`m.room.member/${BOB}`, kick.eventId)
      expect(await complete()).to.equal(true)
      expect(await verdictOn(kick)).to.be.a('string')
      expect(await here.currentState(roomId)).to.deep.equal(await home.currentState(roomId))
      expect(await endsOfRoom()).to.deep.equal([join.event.eventId])
      await here.sender.send({ userId: CAROL }, { roomId, type: 'm.room.message', content: { body: 'yes' } })
    })

    it('accept in the end what they had to reject for it', async () => {
      const kick = await hearBadKick('ban')
      const topic = { type: 'm.room.topic', stateKey: '', content: { topic: 'I am still here' } }
      const message = { type: 'm.room.message', content: { body: 'hi' } }
      const said = await hearAfter(kick, { ...message, sender: BOB })
      const set = await hearAfter(said, { ...topic, sender: ALICE })
      expect(await verdictOn(said)).to.be.a('string')
      expect(await verdictOn(set)).to.equal(null)
      const last = await hearAfter(set, { ...message, sender: BOB })
      expect(await complete()).to.equal(true)
      for (const event of [said, set, last]) expect(await verdictOn(event)).to.equal(null)
      expect(await here.currentState(roomId)).to.deep.equal({
        ...(await home.currentState(roomId)),
        'm.room.topic/': set.eventId,
      })
      expect(await endsOfRoom()).to.deep.equal([last.eventId])
    })

    it('let somebody leave who was sent away so', async () => {
      const kick = await hearBadKick()
      const leave = { type: 'm.room.member', stateKey: BOB, content: { membership: 'leave' } }
      const left = await hearAfter(kick, { ...leave, sender: BOB })
      expect(await verdictOn(left)).to.equal(null)
      expect(await endsOfRoom()).to.deep.equal([left.eventId])
      expect(await complete()).to.equal(true)
      expect(await verdictOn(left)).to.equal(null)
      expect(await here.currentState(roomId)).to.have.property(`m.room.member/${BOB}`, left.eventId)
    })

    it('judge by the states of all branches', async () => {
      const kick = await hearBadKick()
      const message = { type: 'm.room.message', content: { body: 'hi' } }
      const other = await hearAfter(join.event, { ...message, sender: DAVE })
      const [id] = [
        await here.sender.send(
          { userId: CAROL },
          { roomId, type: 'm.room.message', content: { body: 'yes' } },
        ),
      ]
      const joint = (await here.stores.events.get(here.db.reader, id))!
      expect([...joint.event.prevEventIds].sort()).to.deep.equal([kick.eventId, other.eventId].sort())
      expect(await complete()).to.equal(true)
      const state = await here.roomState.getStateAt(
        (await here.stores.events.get(here.db.reader, id))!.stateBefore!,
      )
      const members = state.filter(({ event }) => event.content['membership'] === 'join')
      expect(members.map(({ event }) => event.stateKey).sort()).to.deep.equal(
        [ALICE, BOB, CAROL, DAVE].sort(),
      )
      expect(await endsOfRoom()).to.deep.equal([id])
    })
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
