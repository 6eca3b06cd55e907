import { expect } from 'chai'
import type { EventId, RoomId } from '../../../../src/protocol/ids.js'
import { SearchIndex } from '../../../../src/services/rooms/search-index.js'
import { EventSearchStore } from '../../../../src/storage/stores/event-search.js'
import { nextTurn } from '../../../../src/util/clock.js'
import { parseSearchTerm } from '../../../../src/util/words.js'
import { forEachDatabase } from '../../../support/databases.js'
import { ALICE, createEventFixture, createRoom, type EventFixture } from '../../../support/event-services.js'

forEachDatabase('SearchIndex', (open) => {
  const store = new EventSearchStore()
  let fixture: EventFixture
  let roomId: RoomId
  let errors: unknown[]

  beforeEach(async () => {
    fixture = await createEventFixture(await open())
    roomId = await createRoom(fixture)
    errors = []
  })

  const say = (body: string): Promise<EventId> =>
    fixture.sender.send(
      { userId: ALICE },
      { roomId, type: 'm.room.message', content: { body, msgtype: 'm.text' } },
    )

  const createIndex = (): SearchIndex =>
    new SearchIndex({
      db: fixture.db,
      clock: fixture.clock,
      events: fixture.stores.events,
      eventSearch: store,
      eventStream: fixture.eventStream,
      backfillStream: { position: () => 0 },
      onError: (error) => errors.push(error),
    })

  async function find(term: string): Promise<EventId[]> {
    const { roomNid } = await fixture.roomState.requireRoom(roomId)
    const query = { phrases: parseSearchTerm(term).phrases, roomNids: [roomNid], types: ['m.room.message'] }
    const hits = await store.find(fixture.db.reader, query, { by: 'recency', before: undefined }, 100)
    const events = await fixture.stores.events.getByNids(
      fixture.db.reader,
      hits.map(({ eventNid }) => eventNid),
    )
    return hits.map(({ eventNid }) => events.get(eventNid)!.event.eventId)
  }

  /** What a database has that is older than the index. */
  async function beginIndexNow(): Promise<void> {
    const position = fixture.eventStream.position()
    await fixture.db.write('begin', async (tx) => {
      await tx.execute('UPDATE event_search_position SET newest = ?, oldest = ?', [position, position + 1])
    })
  }

  it('takes in new events together, and at once for who searches', async () => {
    const index = createIndex()
    const eventId = await say('some words')
    expect(await find('words')).to.deep.equal([])
    await index.catchUp()
    expect(await find('words')).to.deep.equal([eventId])
    const later = await say('other words')
    index.onNewPosition('events')
    fixture.clock.advance(1000)
    await index.stop()
    expect(await find('words')).to.deep.equal([later, eventId])
    expect(errors).to.deep.equal([])
  })

  it('takes in what is older than the index in the background, and new events first', async () => {
    const old = [await say('ancient one'), await say('ancient two')]
    await beginIndexNow()
    const index = createIndex()
    const young = await say('ancient three')
    await index.catchUp()
    expect(await find('ancient')).to.deep.equal([young])
    index.start()
    fixture.clock.advance(1000)
    while ((await store.getPosition(fixture.db.reader)).oldest > 0) {
      await nextTurn()
      fixture.clock.advance(50)
    }
    await index.stop()
    expect(await find('ancient')).to.deep.equal([young, ...old.toReversed()])
  })

  it('goes over the same events again without harm', async () => {
    const eventId = await say('twice')
    await createIndex().catchUp()
    await fixture.db.write('again', async (tx) => {
      await tx.execute('UPDATE event_search_position SET newest = 0')
    })
    await createIndex().catchUp()
    expect(await find('twice')).to.deep.equal([eventId])
  })

  it('lets go of what is redacted', async () => {
    const eventId = await say('regretted')
    const index = createIndex()
    await index.catchUp()
    await fixture.sender.send(
      { userId: ALICE },
      { roomId, type: 'm.room.redaction', content: { redacts: eventId } },
    )
    await index.catchUp()
    const table = await fixture.db.reader.all<{ hits: number }>(
      fixture.db.dialect.name === 'sqlite'
        ? `SELECT COUNT(*) AS hits FROM event_search WHERE event_search MATCH 'regretted'`
        : `SELECT COUNT(*) AS hits FROM event_search WHERE words @@ 'regretted'`,
    )
    expect(table[0]?.hits).to.equal(0)
  })

  it('holds texts of any length', async () => {
    const index = createIndex()
    const eventId = await say('字'.repeat(20_000) + ' end')
    await index.catchUp()
    expect(await find('字字字')).to.deep.equal([eventId])
  })
})
