import { expect } from 'chai'
import type { Event } from '../../../../src/protocol/event.js'
import type { RoomId } from '../../../../src/protocol/ids.js'
import type { OutlierReception } from '../../../../src/services/events/outlier-receiver.js'
import { forEachDatabase } from '../../../support/databases.js'
import {
  ALICE,
  CAROL,
  createEventFixture,
  createRoom,
  joinOf,
  RemoteServer,
  type EventFixture,
} from '../../../support/event-services.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('OutlierReceiver', (open) => {
  let fixture: EventFixture
  let roomId: RoomId
  let remote: RemoteServer
  let root: Event

  beforeEach(() => start('12'))

  async function start(version: string): Promise<void> {
    fixture = await createEventFixture(await open())
    roomId = await createRoom(fixture, { version })
    remote = await RemoteServer.of(fixture, roomId)
    root = (await fixture.timeline(roomId)).at(-1)!.event
  }
  async function receive(...events: Event[]): Promise<OutlierReception> {
    return fixture.outliers.receive(await fixture.roomState.requireRoom(roomId), events)
  }
  /** Carol joins and changes her name, each with the one before among its auth events. */
  async function chain(): Promise<[Event, Event, Event]> {
    const rest = (await fixture.timeline(roomId)).map(({ event }) => event)
    const listed = rest.filter(
      ({ type }) => type === 'm.room.power_levels' || type === 'm.room.join_rules' || type === listedCreate(),
    )
    const join = await remote.make([root], { ...joinOf(CAROL), sender: CAROL, authEvents: listed })
    const named = { ...joinOf(CAROL), sender: CAROL, content: { membership: 'join', displayname: 'Carol' } }
    const name = await remote.make([join], { ...named, authEvents: [...listed, join] })
    const renamed = { ...named, content: { membership: 'join', displayname: 'Karol' } }
    const rename = await remote.make([name], { ...renamed, authEvents: [...listed, name] })
    return [join, name, rename]
  }
  const listedCreate = (): string => (roomId.includes(':') ? 'm.room.create' : '')

  for (const version of ['1', '11', '12']) {
    it(`stores events in any order, without a place in the room, in version ${version}`, async () => {
      await start(version)
      const [join, name, rename] = await chain()
      const before = await fixture.timeline(roomId)
      const state = await fixture.currentState(roomId)
      const { stored, missing } = await receive(rename, join, name)
      expect(missing).to.deep.equal([])
      expect(stored.map(({ event }) => event.eventId)).to.deep.equal(
        [rename, join, name].map((e) => e.eventId),
      )
      for (const outlier of stored) {
        expect(outlier).to.include({
          streamOrdering: null,
          stateBefore: null,
          stateAfter: null,
          rejected: null,
        })
      }
      expect(await fixture.timeline(roomId)).to.have.length(before.length)
      expect(await fixture.currentState(roomId)).to.deep.equal(state)
      expect((await receive(join)).stored[0]?.eventNid).to.equal(stored[1]!.eventNid)
    })
  }

  it('names what is missing and leaves out what needs it', async () => {
    const [join, name, rename] = await chain()
    const { stored, missing } = await receive(name, rename)
    expect(stored).to.deep.equal([])
    expect(missing).to.deep.equal([join.eventId, name.eventId])
    expect((await receive(join, name, rename)).stored).to.have.length(3)
  })

  it('rejects what the auth events do not allow, and what builds on it', async () => {
    const levels = (await fixture.timeline(roomId)).find(({ event }) => event.type === 'm.room.power_levels')!
    const alone = await remote.make([root], { ...joinOf(CAROL), sender: CAROL, authEvents: [levels.event] })
    const next = await remote.make([root], {
      type: 'm.room.topic',
      sender: CAROL,
      stateKey: '',
      content: {},
      authEvents: [levels.event, alone],
    })
    const { stored } = await receive(next, alone)
    expect(stored.map(({ rejected }) => rejected?.split(':')[0])).to.deep.equal(['3.3', '5.3.4'])
  })

  it('gives an outlier its place when it comes again', async () => {
    const [join, name, rename] = await chain()
    const [outlier] = (await receive(join, name, rename)).stored
    expect((await remote.receive(join)).outcome).to.equal('accepted')
    const placed = (await fixture.stores.events.get(fixture.db.reader, join.eventId))!
    expect(placed.eventNid).to.equal(outlier!.eventNid)
    expect(placed.streamOrdering).to.be.a('number')
    expect((await fixture.currentState(roomId))[`m.room.member/${CAROL}`]).to.equal(join.eventId)
    // Also as another process reads it.
    const restarted = await fixture.restart()
    const read = await restarted.stores.events.get(restarted.db.reader, join.eventId)
    expect(read).to.include({ streamOrdering: placed.streamOrdering, stateAfter: placed.stateAfter })
    expect((await remote.receive(name)).outcome).to.equal('accepted')
    expect((await remote.receive(rename)).outcome).to.equal('accepted')
    await fixture.sender.send({ userId: ALICE }, { roomId, type: 'm.room.message', content: {} })
    expect((await fixture.timeline(roomId)).at(-1)!.event.prevEventIds).to.deep.equal([rename.eventId])
  })

  it('stores nothing in a room that was removed meanwhile', async () => {
    const room = await fixture.roomState.requireRoom(roomId)
    const [join] = await chain()
    await fixture.services.roomRemoval.hide(room)
    expect(await rejection(fixture.outliers.receive(room, [join]))).to.include({ status: 404 })
    expect(await fixture.stores.events.getNids(fixture.db.reader, [join.eventId])).to.have.property('size', 0)
  })
})
