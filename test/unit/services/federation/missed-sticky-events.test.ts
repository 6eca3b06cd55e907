import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { MissedStickyEvents } from '../../../../src/services/federation/missed-sticky-events.js'
import type { Database } from '../../../../src/storage/database.js'
import { ManualClock } from '../../../support/manual-clock.js'

describe('MissedStickyEvents', () => {
  /** As many as each room has, of which the oldest of all rooms come first: those of the room with the highest nid. */
  function create(counts: ReadonlyMap<number, number>): { missed: MissedStickyEvents; asked: number[] } {
    const asked: number[] = []
    const missed = new MissedStickyEvents({
      db: { reader: {} } as Database,
      clock: new ManualClock(),
      serverName: 'me.test' as ServerName,
      stickyEvents: {
        listLocal: (_q, roomNids, { limit }) => {
          asked.push(roomNids.length)
          const all = roomNids.toReversed().flatMap((roomNid) =>
            Array.from({ length: counts.get(roomNid) ?? 0 }, (_, n) => ({
              roomNid,
              eventNid: roomNid * 1_000 + n,
              streamOrdering: n,
            })),
          )
          return Promise.resolve(all.slice(0, limit) as never)
        },
      },
      events: {
        getByNids: (_q, nids) =>
          Promise.resolve(new Map(nids.map((nid) => [nid, { event: { eventId: `$${nid}` } } as never]))),
      },
    })
    return { missed, asked }
  }

  it('are listed by room, with rooms that have none', async () => {
    const { missed, asked } = create(new Map([[2, 2]]))
    const found = await missed.list([1, 2])
    expect([...found].map(([roomNid, events]) => [roomNid, events.length])).to.deep.equal([
      [1, 0],
      [2, 2],
    ])
    expect(asked).to.deep.equal([2])
  })

  it('are those of the first rooms, where all together have too many', async () => {
    const { missed, asked } = create(
      new Map([
        [1, 3],
        [2, 4],
        [3, 5],
        [4, 900],
      ]),
    )
    const found = await missed.list([1, 2, 3, 4])
    expect([...found].map(([roomNid, events]) => [roomNid, events.length])).to.deep.equal([
      [1, 3],
      [2, 4],
    ])
    expect(asked).to.deep.equal([4, 2])
    expect((await missed.list([4])).get(4)).to.have.length(500)
  })
})
