import { expect } from 'chai'
import { StaleHeadError } from '../../../../src/services/events/event-persister.js'
import type { RoomHead } from '../../../../src/services/events/room-heads.js'
import type { RoomId } from '../../../../src/protocol/ids.js'
import type { EventWrite } from '../../../../src/storage/stores/event-writer.js'
import { plainEvent } from '../../../support/auth-room.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, createEventFixture, createRoom, type EventFixture } from '../../../support/event-services.js'
import { rejection } from '../../../support/rejection.js'

const topic = (text: string): { type: string; stateKey: string; content: { topic: string } } => ({
  type: 'm.room.topic',
  stateKey: '',
  content: { topic: text },
})
const message = { type: 'm.room.message', content: { body: 'x' } }

forEachDatabase('EventPersister', (open) => {
  let fixture: EventFixture
  let roomId: RoomId
  beforeEach(async () => {
    fixture = await createEventFixture(await open())
    roomId = await createRoom(fixture)
  })

  /** The end of the room as a new process reads it is the end that this one has in mind. */
  async function expectConsistent(): Promise<void> {
    await fixture.sender.send({ userId: ALICE }, { roomId, ...message })
    const timeline = await fixture.timeline(roomId)
    for (const [index, { event }] of timeline.entries()) {
      if (index > 0) expect(event.prevEventIds).to.deep.equal([timeline[index - 1]!.event.eventId])
    }
    const last = timeline.findLast(({ event }) => event.type === 'm.room.topic')
    const state = await fixture.currentState(roomId)
    expect(state['m.room.topic/']).to.equal(last?.event.eventId)
    const extremities = await fixture.db.reader.all(
      'SELECT event_nid FROM forward_extremities WHERE room_nid = ?',
      [timeline[0]!.roomNid],
    )
    expect(extremities).to.deep.equal([{ event_nid: timeline.at(-1)!.eventNid }])
    const missing = await fixture.db.reader.all(
      `SELECT 1 FROM events WHERE state_after IS NOT NULL
       AND state_after NOT IN (SELECT snapshot_nid FROM state_snapshots)`,
    )
    expect(missing).to.deep.equal([])
  }

  it('tells the sender of a failed commit, and goes on', async () => {
    fixture.failing.set('persist_events', [true])
    const error = await rejection(fixture.sender.send({ userId: ALICE }, { roomId, ...topic('lost') }))
    expect((error as Error).message).to.equal('persist_events fails as the test wants')
    expect(await fixture.timeline(roomId)).to.have.length(4)
    await fixture.sender.send({ userId: ALICE }, { roomId, ...topic('kept') })
    await expectConsistent()
  })

  it('commits the others of a group one by one when it fails', async () => {
    const other = await createRoom(fixture, { drafts: [topic('')] })
    fixture.failing.set('persist_events', [true])
    await Promise.all([
      fixture.sender.send({ userId: ALICE }, { roomId, ...topic('a') }),
      fixture.sender.send({ userId: ALICE }, { roomId: other, ...topic('b') }),
    ])
    expect(fixture.failing.get('persist_events')).to.deep.equal([])
    expect(await fixture.timeline(other)).to.have.length(6)
    await expectConsistent()
  })

  it('sends anew what was built on an event that was not stored', async () => {
    await createRoom(fixture, { drafts: [topic('')] })
    // The group fails, then its first batch on its own: the next two stand on nothing.
    fixture.failing.set('persist_events', [true, true])
    const results = await Promise.allSettled(
      ['first', 'second', 'third'].map((text) =>
        fixture.sender.send({ userId: ALICE }, { roomId, ...topic(text) }),
      ),
    )
    expect(results.map(({ status }) => status)).to.deep.equal(['rejected', 'fulfilled', 'fulfilled'])
    const texts = (await fixture.timeline(roomId)).slice(4).map(({ event }) => event.content['topic'])
    expect(texts).to.deep.equal(['second', 'third'])
    await expectConsistent()
  })

  it('refuses a batch of a head that has failed', async () => {
    const room = await fixture.roomState.requireRoom(roomId)
    const head: RoomHead = {
      room,
      extremities: [],
      state: { nid: 0, snapshot: undefined as never, rows: [] },
      pending: new Map(),
      failed: true,
    }
    const error = await rejection(fixture.persister.persist({ head, writes: [] }))
    expect(error).to.be.instanceOf(StaleHeadError)
  })

  it('is never stuck, whenever somebody comes', async () => {
    for (let turns = 0; turns < 12; turns++) {
      await fixture.sender.send({ userId: ALICE }, { roomId, ...message })
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    }
    await fixture.persister.drain()
    const timeline = await fixture.timeline(roomId)
    expect(timeline).to.have.length(16)
  })

  describe('positions', () => {
    async function persist(kind: EventWrite['kind'], count: number): Promise<(number | null)[]> {
      const room = await fixture.roomState.requireRoom(roomId)
      const head: RoomHead = {
        room,
        extremities: [],
        state: { nid: 0, snapshot: undefined as never, rows: [] },
        pending: new Map(),
        failed: false,
      }
      const known = await fixture.timeline(roomId)
      const writes = Array.from({ length: count }, (_, index): EventWrite => {
        const eventNid = 1_000_000 + Math.floor(Math.random() * 1e9)
        const event = plainEvent(room.rules, {
          type: 'm.room.message',
          sender: ALICE,
          roomId,
          eventId: `$${kind}${eventNid}${index}`,
        })
        return {
          event,
          eventNid,
          room,
          receivedTs: 1,
          kind,
          prevNids: [],
          stateBefore: kind === 'outlier' ? null : known[3]!.stateAfter,
          stateAfter: kind === 'outlier' ? null : known[3]!.stateAfter,
          snapshots: [],
          rejected: null,
          softFailed: false,
          authPosition: undefined,
          stateChanges: [],
          extremities: { becomesOne: false, removed: [] },
          relation: { relatesTo: null, relType: null, threadRoot: null },
          notifies: false,
          highlights: [],
          txn: undefined,
          redaction: undefined,
        }
      })
      return (await fixture.persister.persist({ head, writes })).map((stored) => stored.streamOrdering)
    }

    it('of live events go up, of backfilled events down, and outliers have none', async () => {
      const live = await persist('live', 3)
      expect(live).to.deep.equal([...live].sort((a, b) => a! - b!))
      expect(live[0]).to.be.above(4)
      const backfilled = [...(await persist('backfilled', 3)), ...(await persist('backfilled', 2))]
      expect(backfilled).to.deep.equal([-1, -2, -3, -4, -5])
      expect(await persist('outlier', 2)).to.deep.equal([null, null])
      const position = fixture.eventStream.position()
      expect(position).to.equal(live.at(-1))
      const again = await fixture.restart()
      expect(again.eventStream.position()).to.be.at.least(position)
    })
  })
})
