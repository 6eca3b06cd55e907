import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { RoomId } from '../../../../src/protocol/ids.js'
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

forEachDatabase('room adoption', (open) => {
  /** Where the room is. */
  let home: EventFixture
  /** Where it is handed over to. */
  let here: EventFixture
  let roomId: RoomId
  let room: RoomRecord

  async function start(version: string): Promise<void> {
    home = await createEventFixture(await open())
    here = await createEventFixture(await open())
    roomId = await createRoom(home, { version })
    const { rules, creator, roomType } = await home.roomState.requireRoom(roomId)
    room = await here.services.remoteRooms.ensure({ roomId, rules, creator, roomType })
  }

  async function eventsAtHome(): Promise<Event[]> {
    return (await home.timeline(roomId)).map(({ event }) => event)
  }

  /** Carol's join after all that there is, which is not part of the room at home. */
  async function carolJoins(): Promise<Event> {
    const remote = await RemoteServer.of(home, roomId)
    const last = (await eventsAtHome()).at(-1)!
    return remote.make([last], { ...joinOf(CAROL), sender: CAROL })
  }

  async function handOver(): Promise<StoredEvent[]> {
    const state = new Set(Object.values(await home.currentState(roomId)))
    const { stored } = await here.outliers.receive(room, await eventsAtHome())
    return stored.filter(({ event }) => state.has(event.eventId))
  }

  async function adopt(event: Event, state: readonly StoredEvent[]): Promise<StoredEvent> {
    return here.services.roomAdopter.adopt({ room, state, event })
  }

  async function joinedCount(): Promise<number | undefined> {
    const row = await here.db.reader.first<{ joined_members: number }>(
      'SELECT joined_members FROM rooms WHERE room_id = ?',
      [roomId],
    )
    return row?.joined_members
  }

  for (const version of ['1', '6', '11', '12']) {
    it(`begins a room of version ${version} at the state that is handed over`, async () => {
      await start(version)
      const join = await carolJoins()
      await adopt(join, await handOver())
      const expected = { ...(await home.currentState(roomId)), [`m.room.member/${CAROL}`]: join.eventId }
      expect(await here.currentState(roomId)).to.deep.equal(expected)
      expect((await here.timeline(roomId)).map(({ event }) => event.eventId)).to.deep.equal([join.eventId])
      expect(await joinedCount()).to.equal(2)
      // What comes next follows the join, and the history ends before it.
      const remote = await RemoteServer.of(here, roomId)
      await remote.send([join], { type: 'm.room.message', sender: CAROL, content: { body: 'hi' } })
      const gaps = await here.stores.missingEvents.listGaps(here.db.reader, room.roomNid, 1_000, 10)
      expect(gaps.map(({ eventId }) => eventId)).to.deep.equal(join.prevEventIds)
    })
  }

  it('gives up what was known of a room before', async () => {
    await start('11')
    await adopt(await carolJoins(), await handOver())
    const { sender } = home
    const [topic] = await sender.sendBatch({ userId: ALICE }, roomId, [
      { type: 'm.room.topic', stateKey: '', content: { topic: 'news' } },
      { ...joinOf(BOB), sender: BOB },
    ])
    await here.sender.sendBatch({ userId: CAROL }, roomId, [
      { type: 'm.room.message', content: { body: 'alone' } },
      { type: 'm.room.member', stateKey: CAROL, content: { membership: 'leave' } },
    ])
    const again = await carolJoins()
    await adopt(again, await handOver())
    const state = await here.currentState(roomId)
    expect(state['m.room.topic/']).to.equal(topic)
    expect(state).to.deep.equal({
      ...(await home.currentState(roomId)),
      [`m.room.member/${CAROL}`]: again.eventId,
    })
    expect(await joinedCount()).to.equal(3)
    const ends = await here.stores.graph.listForwardExtremities(here.db.reader, room.roomNid)
    expect(ends.map(({ eventId }) => eventId)).to.deep.equal([again.eventId])
    expect(await (await here.restart()).currentState(roomId)).to.deep.equal(state)
  })

  it('takes no state that does not let the user in, and none that is no state', async () => {
    await start('11')
    const join = await carolJoins()
    const state = await handOver()
    const without = (type: string): StoredEvent[] => state.filter(({ event }) => event.type !== type)
    expect(await rejection(adopt(join, without('m.room.join_rules')))).to.have.property(
      'errcode',
      'M_FORBIDDEN',
    )
    expect(await rejection(adopt(join, without('m.room.create')))).to.have.property('errcode', 'M_FORBIDDEN')
    const doubled = [...state, state.find(({ event }) => event.type === 'm.room.join_rules')!]
    expect(await rejection(adopt(join, doubled))).to.have.property('status', 502)
    expect(await here.currentState(roomId)).to.deep.equal({})
    expect(await here.stores.graph.listForwardExtremities(here.db.reader, room.roomNid)).to.deep.equal([])
  })

  it('knows nothing of a room whose join was not stored', async () => {
    await start('11')
    const join = await carolJoins()
    const state = await handOver()
    here.failing.set('persist_events', [true, true])
    expect(await rejection(adopt(join, state))).to.be.an('error')
    here.failing.clear()
    await adopt(join, state)
    expect(Object.keys(await here.currentState(roomId))).to.include(`m.room.member/${CAROL}`)
  })

  describe('memberships from outside', () => {
    /** An invitation of Carol, as her server gets it. */
    async function invite(): Promise<Event> {
      const draft = { type: 'm.room.member', stateKey: CAROL, content: { membership: 'invite' } }
      const [id] = await home.sender.sendBatch({ userId: ALICE }, roomId, [draft])
      return (await home.stores.events.get(home.db.reader, id!))!.event
    }

    it('are seen without a place in the room, and become part of it', async () => {
      await start('12')
      const event = await invite()
      const before = here.eventStream.position()
      const stored = await here.services.outsideMemberships.store(room, event)
      expect(stored.streamOrdering).to.equal(null)
      expect(here.eventStream.position()).to.equal(before + 1)
      expect(await here.timeline(roomId)).to.deep.equal([])
      const member = await here.stores.members.get(here.db.reader, room.roomNid, CAROL)
      expect(member).to.include({
        membership: 'invite',
        streamOrdering: before + 1,
        eventNid: stored.eventNid,
      })
      // The same again is nothing new.
      expect(await here.services.outsideMemberships.store(room, event)).to.deep.equal(stored)
      expect(here.eventStream.position()).to.equal(before + 1)
      const join = await carolJoins()
      expect(join.authEventIds).to.include(event.eventId)
      await adopt(join, await handOver())
      expect(await joinedCount()).to.equal(2)
      const row = await here.db.reader.first('SELECT 1 AS found FROM auth_chains WHERE event_nid = ?', [
        stored.eventNid,
      ])
      expect(row).to.deep.equal({ found: 1 })
    })

    it('have positions that nobody gets again', async () => {
      await start('12')
      await here.services.outsideMemberships.store(room, await invite())
      const position = here.eventStream.position()
      const restarted = await here.restart()
      const other = await createRoom(restarted, { version: '11' })
      const [first] = await restarted.timeline(other)
      expect(first!.streamOrdering).to.be.greaterThan(position)
    })
  })

  it('proposes events that are not stored', async () => {
    await start('11')
    const homeRoom = await home.roomState.requireRoom(roomId)
    const before = await eventsAtHome()
    const draft = { type: 'm.room.member', stateKey: CAROL, content: { membership: 'invite' } }
    const event = await home.services.eventProposals.propose(homeRoom, { draft, sender: ALICE })
    expect(event.prevEventIds).to.deep.equal([before.at(-1)!.eventId])
    expect(await eventsAtHome()).to.have.length(before.length)
    const proposal = home.services.eventProposals.propose(homeRoom, { draft, sender: BOB })
    expect(await rejection(proposal)).to.have.property('errcode', 'M_FORBIDDEN')
    const outside = here.services.eventProposals.propose(room, { draft, sender: ALICE })
    expect(await rejection(outside)).to.have.property('errcode', 'M_FORBIDDEN')
  })
})
