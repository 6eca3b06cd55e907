import { expect } from 'chai'
import fc from 'fast-check'
import { CacheRegistry } from '../../../../src/storage/cache-registry.js'
import type { Database } from '../../../../src/storage/database.js'
import { EventsStore } from '../../../../src/storage/stores/events.js'
import {
  RoomTimelineStore,
  type PageRequest,
  type TimelineFilter,
} from '../../../../src/storage/stores/room-timeline.js'
import { RoomsStore } from '../../../../src/storage/stores/rooms.js'
import type { Direction, TimelineBound } from '../../../../src/storage/timeline-range.js'
import { createMetrics } from '../../../../src/telemetry/metrics.js'
import { forEachDatabase } from '../../../support/databases.js'

interface Row {
  readonly nid: number
  readonly stream: number | null
  readonly depth: number
  readonly type?: string
  readonly sender?: string
  readonly ts?: number
  readonly rejected?: boolean
  readonly softFailed?: boolean
  readonly url?: boolean
  readonly relatesTo?: string
  readonly relType?: string
}

const EVERYTHING = Number.MAX_SAFE_INTEGER
const FROM_THE_END: TimelineBound = { streamOrdering: EVERYTHING }
const FROM_THE_START: TimelineBound = { depth: 0, streamOrdering: Number.MIN_SAFE_INTEGER }

forEachDatabase('RoomTimelineStore', (open) => {
  let db: Database
  let timeline: RoomTimelineStore
  let roomNid = 0
  let nextNid = 1

  before(async () => {
    db = await open()
    const caches = new CacheRegistry(createMetrics())
    timeline = new RoomTimelineStore(new EventsStore(caches, new RoomsStore(caches), { cacheSize: 100 }))
  })

  async function createRoom(rows: readonly Row[]): Promise<void> {
    roomNid = nextNid++
    await db.write('test', async (tx) => {
      await tx.execute('DELETE FROM events')
      await tx.execute(
        `INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (?, ?, '11', '@a:hs', 0)`,
        [roomNid, `!room${roomNid}:hs`],
      )
      await tx.insertMany('events', rows.map(toColumns), { columns: COLUMNS })
    })
  }

  function toColumns(row: Row) {
    const type = row.type ?? 'm.room.message'
    const sender = row.sender ?? '@alice:hs'
    return {
      event_nid: roomNid * 1_000_000 + row.nid,
      event_id: `$${row.nid}`,
      room_nid: roomNid,
      stream_ordering: row.stream,
      depth: row.depth,
      type,
      sender,
      origin_server_ts: row.ts ?? 0,
      received_ts: 0,
      rejected: row.rejected ? 'why' : null,
      soft_failed: row.softFailed ? 1 : 0,
      contains_url: row.url ? 1 : 0,
      relates_to: row.relatesTo ?? null,
      rel_type: row.relType ?? null,
      json: JSON.stringify({ type, sender, content: {}, depth: row.depth, prev_events: [], auth_events: [] }),
    }
  }

  async function idsOf(request: Partial<PageRequest> & { direction: Direction }): Promise<string[]> {
    return (await pageOf(request)).events.map(({ event }) => event.eventId.slice(1))
  }

  function pageOf(request: Partial<PageRequest> & { direction: Direction }) {
    const from = request.direction === 'b' ? FROM_THE_END : FROM_THE_START
    return timeline.page(db.reader, { roomNid, from, ceiling: EVERYTHING, limit: 100, ...request })
  }

  it('gives every event once in pages of any size, both ways, however branches and gaps lie', async () => {
    const graph = fc.uniqueArray(
      fc.record({ depth: fc.integer({ min: 1, max: 6 }), stream: fc.integer({ min: -20, max: 20 }) }),
      { selector: ({ stream }) => stream, maxLength: 15 },
    )
    await fc.assert(
      fc.asyncProperty(graph, fc.integer({ min: 1, max: 5 }), async (places, limit) => {
        const rows = places.map((place, index) => ({ ...place, nid: index + 1 }))
        await createRoom(rows)
        const sorted = [...rows].sort((a, b) => a.depth - b.depth || a.stream - b.stream)
        const forward = sorted.map(({ nid }) => String(nid))
        for (const direction of ['f', 'b'] as const) {
          const expected = direction === 'f' ? forward : [...forward].reverse()
          const seen: string[] = []
          let from: TimelineBound | undefined = direction === 'b' ? FROM_THE_END : FROM_THE_START
          while (from) {
            const page = await pageOf({ direction, from, limit })
            expect(page.events).to.have.length(Math.min(limit, expected.length - seen.length))
            seen.push(...page.events.map(({ event }) => event.eventId.slice(1)))
            from = page.end
          }
          expect(seen).to.deep.equal(expected)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('starts and stops at places of the graph and at positions of the stream', async () => {
    await createRoom([1, 2, 3, 4, 5].map((number) => ({ nid: number, depth: number, stream: number * 10 })))
    expect(await idsOf({ direction: 'b', from: { streamOrdering: 35 } })).to.deep.equal(['3', '2', '1'])
    expect(await idsOf({ direction: 'f', from: { streamOrdering: 30 } })).to.deep.equal(['4', '5'])
    expect(await idsOf({ direction: 'b', from: { depth: 3, streamOrdering: 30 } })).to.deep.equal([
      '3',
      '2',
      '1',
    ])
    expect(await idsOf({ direction: 'f', from: { depth: 3, streamOrdering: 30 } })).to.deep.equal(['4', '5'])
    expect(await idsOf({ direction: 'b', to: { depth: 3, streamOrdering: 30 } })).to.deep.equal(['5', '4'])
    expect(await idsOf({ direction: 'f', to: { streamOrdering: 30 } })).to.deep.equal(['1', '2', '3'])
    expect(await idsOf({ direction: 'b', ceiling: 20 })).to.deep.equal(['2', '1'])
    expect(await idsOf({ direction: 'f', ceiling: 20 })).to.deep.equal(['1', '2'])
  })

  it('has no outliers, rejected or soft-failed events', async () => {
    await createRoom([
      { nid: 1, depth: 1, stream: 1 },
      { nid: 2, depth: 2, stream: null },
      { nid: 3, depth: 3, stream: 3, rejected: true },
      { nid: 4, depth: 4, stream: 4, softFailed: true },
      { nid: 5, depth: 5, stream: 5 },
    ])
    expect(await idsOf({ direction: 'b' })).to.deep.equal(['5', '1'])
  })

  it('leaves out what a filter does not let through', async () => {
    await createRoom([
      { nid: 1, depth: 1, stream: 1, type: 'm.room.name' },
      { nid: 2, depth: 2, stream: 2, sender: '@bob:hs' },
      { nid: 3, depth: 3, stream: 3, url: true },
      {
        nid: 4,
        depth: 4,
        stream: 4,
        type: 'm.reaction',
        relatesTo: '$2',
        relType: 'm.annotation',
        sender: '@bob:hs',
      },
      { nid: 5, depth: 5, stream: 5, type: 'a_b%c' },
    ])
    const filtered = (filter: TimelineFilter): Promise<string[]> => idsOf({ direction: 'f', filter })
    expect(await filtered({ types: ['m.room.name', 'm.reaction'] })).to.deep.equal(['1', '4'])
    expect(await filtered({ types: ['m.room.*'] })).to.deep.equal(['1', '2', '3'])
    expect(await filtered({ types: ['a_b%*'] })).to.deep.equal(['5'])
    expect(await filtered({ types: ['a%b*'] })).to.deep.equal([])
    expect(await filtered({ types: [] })).to.deep.equal([])
    expect(await filtered({ types: ['*name'] })).to.have.length(5)
    const many = Array.from({ length: 2000 }, (_, index) => `x${index}*`)
    expect(await filtered({ types: many })).to.have.length(5)
    expect(await filtered({ notTypes: ['m.room.message', 'm.*'] })).to.deep.equal(['1', '4', '5'])
    expect(await filtered({ senders: ['@bob:hs'] })).to.deep.equal(['2', '4'])
    expect(await filtered({ notSenders: ['@bob:hs'] })).to.deep.equal(['1', '3', '5'])
    expect(await filtered({ containsUrl: true })).to.deep.equal(['3'])
    expect(await filtered({ containsUrl: false })).to.deep.equal(['1', '2', '4', '5'])
    expect(await filtered({ relatedByRelTypes: ['m.annotation', 'm.thread'] })).to.deep.equal(['2'])
    expect(await filtered({ relatedByRelTypes: ['m.thread'] })).to.deep.equal([])
    expect(await filtered({ relatedBySenders: ['@alice:hs'] })).to.deep.equal([])
    expect(await filtered({ relatedBySenders: ['@bob:hs'], types: ['m.room.message'] })).to.deep.equal(['2'])
  })

  it('looks for rare events a bounded way and says where it stopped', async () => {
    const rows = Array.from({ length: 6_000 }, (_, index) => ({
      nid: index + 1,
      depth: index + 1,
      stream: index + 1,
    }))
    await createRoom([{ nid: 0, depth: 0, stream: 0, type: 'm.room.name' }, ...rows])
    const filter = { types: ['m.room.name'] }
    const first = await pageOf({ direction: 'b', filter })
    expect(first.events).to.have.length(0)
    expect(first.end).to.deep.equal({ depth: 1001, streamOrdering: 1000 })
    const second = await pageOf({ direction: 'b', filter, from: first.end! })
    expect(second.events).to.have.length(1)
    expect(second.end).to.equal(undefined)
  })

  it('finds the last event at a place', async () => {
    await createRoom([
      { nid: 1, depth: 1, stream: 1 },
      { nid: 2, depth: 2, stream: 5 },
      { nid: 3, depth: 3, stream: -4 },
    ])
    const last = async (bound: TimelineBound): Promise<string | undefined> =>
      (await timeline.lastAt(db.reader, roomNid, bound))?.event.eventId
    expect(await last({ streamOrdering: 4 })).to.equal('$1')
    expect(await last({ streamOrdering: 5 })).to.equal('$2')
    expect(await last({ depth: 3, streamOrdering: -4 })).to.equal('$3')
    expect(await last({ depth: 3, streamOrdering: -5 })).to.equal('$2')
    expect(await last({ depth: 0, streamOrdering: 0 })).to.equal(undefined)
  })

  it('finds events by time, the closest first', async () => {
    await createRoom([
      { nid: 1, depth: 1, stream: 1, ts: 100 },
      { nid: 2, depth: 2, stream: 2, ts: 300 },
      { nid: 3, depth: 3, stream: 3, ts: 200 },
      { nid: 4, depth: 4, stream: 4, ts: 300 },
      { nid: 5, depth: 5, stream: 5, ts: 250, rejected: true },
    ])
    const find = async (direction: Direction, ts: number, offset = 0): Promise<string[]> => {
      const query = { direction, ts, ceiling: EVERYTHING, limit: 2, offset }
      return (await timeline.listByTimestamp(db.reader, roomNid, query)).map(({ event }) => event.eventId)
    }
    expect(await find('f', 150)).to.deep.equal(['$3', '$2'])
    expect(await find('f', 150, 2)).to.deep.equal(['$4'])
    expect(await find('b', 300)).to.deep.equal(['$4', '$2'])
    expect(await find('b', 99)).to.deep.equal([])
  })
})

const COLUMNS = {
  event_nid: 'integer',
  event_id: 'text',
  room_nid: 'integer',
  stream_ordering: 'integer',
  depth: 'integer',
  type: 'text',
  sender: 'text',
  origin_server_ts: 'integer',
  received_ts: 'integer',
  rejected: 'text',
  soft_failed: 'integer',
  contains_url: 'integer',
  relates_to: 'text',
  rel_type: 'text',
  json: 'text',
} as const
