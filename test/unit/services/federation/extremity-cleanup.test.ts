import { expect } from 'chai'
import type { RoomId } from '../../../../src/protocol/ids.js'
import { ExtremityCleanup } from '../../../../src/services/federation/extremity-cleanup.js'
import { forEachDatabase } from '../../../support/databases.js'
import {
  CAROL,
  createEventFixture,
  createRoom,
  joinOf,
  RemoteServer,
  type EventFixture,
} from '../../../support/event-services.js'

forEachDatabase('ExtremityCleanup', (open) => {
  let fixture: EventFixture
  let roomId: RoomId

  async function crowd(ends: number): Promise<void> {
    fixture = await createEventFixture(await open())
    roomId = await createRoom(fixture, { version: '11' })
    const remote = await RemoteServer.of(fixture, roomId)
    const [last] = (await fixture.timeline(roomId)).slice(-1)
    const root = await remote.send([last!.event], { ...joinOf(CAROL), sender: CAROL })
    for (let index = 0; index < ends; index++) {
      await remote.send([root], { type: 'm.room.message', sender: CAROL, content: { body: String(index) } })
    }
  }
  const cleanup = (): ExtremityCleanup =>
    new ExtremityCleanup(fixture.db, {
      ...fixture.stores,
      sender: fixture.sender,
      logger: { info: () => undefined } as never,
      threshold: 10,
    })
  const countEnds = async (): Promise<number> => {
    const { roomNid } = await fixture.roomState.requireRoom(roomId)
    return (await fixture.stores.graph.listForwardExtremities(fixture.db.reader, roomNid)).length
  }

  it('joins the ends of rooms that have many', async () => {
    await crowd(25)
    await cleanup().run()
    expect(await countEnds()).to.be.at.most(10)
    const dummies = (await fixture.timeline(roomId)).filter(
      ({ event }) => event.type === 'org.matrix.dummy_event',
    )
    expect(dummies).to.have.length(2)
  })

  it('joins the ends of one room however few they are, and says nothing where there is one', async () => {
    await crowd(3)
    const room = await fixture.roomState.requireRoom(roomId)
    await cleanup().join(room)
    expect(await countEnds()).to.equal(1)
    const before = await fixture.timeline(roomId)
    await cleanup().join(room)
    expect(await fixture.timeline(roomId)).to.have.length(before.length)
  })

  it('leaves rooms alone that have few', async () => {
    await crowd(10)
    await cleanup().run()
    expect(await countEnds()).to.equal(10)
  })
})
