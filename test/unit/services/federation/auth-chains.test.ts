import { expect } from 'chai'
import { AuthChains } from '../../../../src/services/federation/auth-chains.js'
import type { Database } from '../../../../src/storage/database.js'
import type { EventGraphStore } from '../../../../src/storage/stores/event-graph.js'
import type { EventsStore, StoredEvent } from '../../../../src/storage/stores/events.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'

describe('AuthChains', () => {
  // Databases give rows as they find them.
  const found = [11, 2, 7, 10, 3]
  const graph = {
    getAuthPositions: () =>
      Promise.resolve(new Map([[12, { chainNid: 1, seq: 5, reach: new Map([[1, 4]]) }]])),
    listChainRanges: () =>
      Promise.resolve(new Map(found.map((nid) => [nid, { chainNid: 1, seq: nid, reach: new Map() }]))),
  } as unknown as EventGraphStore
  const events = {
    getByNids: () => Promise.resolve(new Map(found.map((nid) => [nid, stored(nid)]))),
  } as unknown as EventsStore
  const chains = new AuthChains({ reader: {} } as Database, { graph, events })

  it('are listed from what was learnt first to what was learnt last', async () => {
    expect([...(await chains.listNids([12]))]).to.deep.equal([2, 3, 7, 10, 11])
    const room = { roomId: '!r:hs.test', rules: {} } as RoomRecord
    const chain = await chains.ofState(room, [stored(12)])
    expect(chain.map(({ eventNid }) => eventNid)).to.deep.equal([2, 3, 7, 10, 11])
  })
})

function stored(eventNid: number): StoredEvent {
  return { eventNid, event: { eventId: `$${eventNid}` } as unknown } as StoredEvent
}
