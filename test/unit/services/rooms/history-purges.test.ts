import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { HistoryPurges } from '../../../../src/services/rooms/history-purges.js'
import { LastingTasks } from '../../../../src/services/tasks/lasting-tasks.js'
import { EventSearchStore } from '../../../../src/storage/stores/event-search.js'
import { HistoryPurgeStore } from '../../../../src/storage/stores/history-purge.js'
import { LastingTasksStore } from '../../../../src/storage/stores/lasting-tasks.js'
import { forEachDatabase } from '../../../support/databases.js'
import {
  ALICE,
  createEventFixture,
  createRoom,
  SERVER,
  type EventFixture,
} from '../../../support/event-services.js'

forEachDatabase('HistoryPurges', (open) => {
  let fixture: EventFixture
  let tasks: LastingTasks
  let purges: HistoryPurges
  let errors: unknown[]
  beforeEach(async () => {
    fixture = await createEventFixture(await open())
    const { db, clock, stores, roomState } = fixture
    errors = []
    tasks = new LastingTasks({
      db,
      clock,
      store: new LastingTasksStore(),
      onError: (error) => errors.push(error),
    })
    purges = new HistoryPurges({
      db,
      clock,
      roomState,
      tasks,
      events: stores.events,
      store: new HistoryPurgeStore({ ...stores, eventSearch: new EventSearchStore() }),
      partialRooms: { isPartial: () => false },
      serverName: SERVER,
    })
  })

  const say = (roomId: RoomId, body: string): Promise<EventId> =>
    fixture.sender.send(
      { userId: ALICE },
      { roomId, type: 'm.room.message', content: { body, msgtype: 'm.text' } },
    )

  const gaps = async (): Promise<unknown[]> =>
    (await fixture.db.reader.all<{ event_id: string }>('SELECT event_id FROM missing_events')).map(
      (row) => row.event_id,
    )

  async function purge(roomId: RoomId, eventId: EventId): Promise<string | undefined> {
    const id = await purges.start(roomId, { eventId }, { deleteLocal: true })
    await tasks.settle()
    return (await purges.find(id))?.status
  }

  it('leaves one gap behind, the state, and no edges of what is gone', async () => {
    const roomId = await createRoom(fixture)
    const ids = [
      await say(roomId, '0'),
      await say(roomId, '1'),
      await say(roomId, '2'),
      await say(roomId, '3'),
    ]
    const state = await fixture.currentState(roomId)
    expect(await purge(roomId, ids[1]!)).to.equal('complete')
    expect(await gaps()).to.deep.equal([ids[0]])
    expect(await purge(roomId, ids[3]!)).to.equal('complete')
    expect(await gaps()).to.deep.equal([ids[2]])
    expect(await fixture.currentState(roomId)).to.deep.equal(state)
    const timeline = await (await fixture.restart()).timeline(roomId)
    expect(timeline.map(({ event }) => event.eventId)).to.deep.equal([ids[3]])
    const edges = await fixture.db.reader.all('SELECT * FROM event_edges')
    expect(edges).to.have.length(1)
    const next = await say(roomId, '4')
    expect((await fixture.stores.events.get(fixture.db.reader, next))?.event.prevEventIds).to.deep.equal([
      ids[3],
    ])
    expect(errors).to.deep.equal([])
  })

  it('goes up to a time, with all that came by then, but never to the last event', async () => {
    const roomId = await createRoom(fixture)
    for (const body of ['0', '1', '2']) await say(roomId, body)
    const ts = fixture.clock.now()
    fixture.clock.advance(1)
    const last = await say(roomId, '3')
    for (const until of [ts, ts + 60_000]) {
      await purges.start(roomId, { ts: until }, { deleteLocal: true })
      await tasks.settle()
      expect((await fixture.timeline(roomId)).map(({ event }) => event.eventId)).to.deep.equal([last])
    }
  })

  it('is whole after a purge that failed in the middle', async () => {
    const roomId = await createRoom(fixture)
    const [first, second] = [await say(roomId, '0'), await say(roomId, '1')]
    const before = await fixture.timeline(roomId)
    fixture.failing.set('purge_history', [true])
    expect(await purge(roomId, second)).to.equal('failed')
    expect((await fixture.timeline(roomId)).length).to.equal(before.length)
    expect(await purge(roomId, second)).to.equal('complete')
    expect(await gaps()).to.deep.equal([first])
    expect(await fixture.stores.events.get(fixture.db.reader, first)).to.equal(undefined)
  })

  it('keeps the ends of the history, however deep the point', async () => {
    const roomId = await createRoom(fixture)
    const last = await say(roomId, '0')
    const room = await fixture.roomState.requireRoom(roomId)
    const store = new HistoryPurgeStore({ ...fixture.stores, eventSearch: new EventSearchStore() })
    const listed = await store.listBefore(fixture.db.reader, room.roomNid, Number.MAX_SAFE_INTEGER, 100)
    expect(listed.map(({ event }) => event.eventId)).not.to.include(last)
    expect(listed).to.have.length(4)
  })
})
