import { expect } from 'chai'
import fc from 'fast-check'
import { EventTail } from '../../../../src/services/events/event-tail.js'
import type { UserId } from '../../../../src/protocol/ids.js'
import type { Database } from '../../../../src/storage/database.js'
import { StateDeltasStore } from '../../../../src/storage/stores/state-deltas.js'
import { TimelinesStore } from '../../../../src/storage/stores/timelines.js'
import { forEachDatabase } from '../../../support/databases.js'
import { RoomRows } from '../../../support/room-rows.js'

const ALICE = '@alice:hs.test' as UserId

forEachDatabase('EventTail', (open) => {
  let db: Database
  let room: RoomRows
  let reads: number

  beforeEach(async () => {
    db = await open()
    room = await RoomRows.create(db)
    reads = 0
  })

  /** A tail that counts what it asks of the database. */
  function tailOf(maxEvents = 100): EventTail {
    const counted = new (class extends TimelinesStore {
      override listStream(...args: Parameters<TimelinesStore['listStream']>) {
        reads += 1
        return super.listStream(...args)
      }
    })()
    return new EventTail(db, { timelines: counted, deltas: new StateDeltasStore() }, { maxEvents })
  }

  /** Writes events; their positions. */
  async function say(count: number): Promise<number[]> {
    const ids = await room.sendMany(Array.from({ length: count }, () => ({ sender: ALICE })))
    const events = await db.reader.all<{ stream_ordering: number }>(
      `SELECT stream_ordering FROM events WHERE ${db.dialect.anyOf('event_id', 'text')} ORDER BY stream_ordering`,
      [db.dialect.list(ids)],
    )
    return events.map((event) => event.stream_ordering)
  }

  it('reads each stretch once, for all who follow', async () => {
    const tail = tailOf()
    const positions = await say(5)
    const last = positions[4]!
    const slices = await Promise.all([tail.between(positions[1]!, last), tail.between(positions[3]!, last)])
    expect(slices.map((slice) => slice?.events.map(({ streamOrdering }) => streamOrdering))).to.deep.equal([
      positions.slice(2),
      positions.slice(4),
    ])
    expect(reads).to.equal(1)
    const [next] = await say(1)
    expect((await tail.between(last, next!))?.events).to.have.lengthOf(1)
    await tail.between(positions[0]!, next!)
    expect(reads).to.equal(2)
  })

  /** What a writer tells of the events at these positions. */
  async function offer(tail: EventTail, positions: readonly number[]): Promise<void> {
    const rows = await new TimelinesStore().listStream(db.reader, 0, Number.MAX_SAFE_INTEGER)
    for (const row of rows) if (positions.includes(row.streamOrdering)) tail.offer(row)
  }

  it('reads nothing of what it is told, in whatever order', async () => {
    const tail = tailOf()
    const [start] = await say(1)
    await tail.between(start! - 1, start!)
    const positions = await say(4)
    await offer(tail, [...positions].reverse())
    const slice = await tail.between(start!, positions[3]!)
    expect(slice?.events.map(({ streamOrdering }) => streamOrdering)).to.deep.equal(positions)
    expect(reads).to.equal(1)
  })

  it('reads where it was not told of all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 6 }),
        async (steps) => {
          const tail = tailOf()
          const [start] = await say(1)
          await tail.between(start! - 1, start!)
          const positions = await say(steps.length)
          for (const [index, [isTold, isAsked]] of steps.entries()) {
            if (isTold) await offer(tail, [positions[index]!])
            if (isAsked) await tail.between(start!, positions[index]!)
          }
          const slice = await tail.between(start!, positions.at(-1)!)
          expect(slice?.events.map(({ streamOrdering }) => streamOrdering)).to.deep.equal(positions)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('has nothing to say about an empty stretch', async () => {
    expect(await tailOf().between(7, 7)).to.deep.equal({ events: [], deltas: [] })
    expect(reads).to.equal(0)
  })

  it('says so where it does not reach back', async () => {
    const tail = tailOf(4)
    const positions = await say(12)
    expect(await tail.between(positions[0]!, positions[11]!)).to.equal(undefined)
    const reached = await tail.between(positions[9]!, positions[11]!)
    expect(reached?.events.map(({ streamOrdering }) => streamOrdering)).to.deep.equal(positions.slice(10))
  })
})
