import { expect } from 'chai'
import { StickyEvents } from '../../../../src/services/events/sticky-events.js'
import type { StoredEvent } from '../../../../src/storage/stores/events.js'
import type { StickyEvent, StickyRange } from '../../../../src/storage/stores/sticky-events.js'
import { ManualClock } from '../../../support/manual-clock.js'

const COUNT = 2_500

/** As many events as are asked for, of two rooms by turns. */
function stickyEvents(): StickyEvents {
  const all = Array.from({ length: COUNT }, (_, index): StickyEvent => {
    return { eventNid: index + 1, roomNid: 1 + (index % 2), streamOrdering: index + 1 }
  })
  const list = ({ after, upTo, limit }: StickyRange): Promise<StickyEvent[]> =>
    Promise.resolve(
      all.filter(({ streamOrdering }) => streamOrdering > after && streamOrdering <= upTo).slice(0, limit),
    )
  const stored = ({ eventNid, roomNid }: StickyEvent): StoredEvent =>
    ({ eventNid, roomNid, redactedBy: null, event: { sender: '@alice:hs.test' } }) as unknown as StoredEvent
  return new StickyEvents({
    db: { reader: undefined } as never,
    clock: new ManualClock(),
    store: { listInRooms: (_q, _nids, range) => list(range), listInStream: (_q, range) => list(range) },
    events: {
      getByNids: (_q, nids) => Promise.resolve(new Map(nids.map((nid) => [nid, stored(all[nid - 1]!)]))),
    },
  })
}

describe('StickyEvents', () => {
  const window = { after: 0, upTo: COUNT, ignored: new Set<never>() }

  it('are all told, however many there are', async () => {
    const rooms = await stickyEvents().list([1, 2], window)
    expect([...rooms.values()].map(({ length }) => length)).to.deep.equal([COUNT / 2, COUNT / 2])
    expect(rooms.get(2)?.at(-1)?.eventNid).to.equal(COUNT)
  })

  it('come in pages where the client asks for them', async () => {
    const first = await stickyEvents().page([1, 2], window, 100)
    expect(first.upTo).to.equal(100)
    const last = await stickyEvents().page([1, 2], { ...window, after: COUNT - 50 }, 100)
    expect([last.upTo, last.rooms.get(1)?.length]).to.deep.equal([COUNT, 25])
  })
})
