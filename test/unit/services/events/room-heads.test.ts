import { expect } from 'chai'
import type { PendingEvent } from '../../../../src/services/events/pending-events.js'
import { RoomHeads } from '../../../../src/services/events/room-heads.js'
import type { SnapshotRef } from '../../../../src/services/events/snapshot-builder.js'
import type { ForwardExtremity } from '../../../../src/storage/stores/event-graph.js'
import type { RoomRecord } from '../../../../src/storage/stores/rooms.js'
import { rejection } from '../../../support/rejection.js'

const roomOf = (roomNid: number): RoomRecord => ({ roomNid }) as RoomRecord
const event = {} as PendingEvent
/** A state so large that a handful of heads take all the room there is. */
const state = (nid: number): SnapshotRef => ({
  nid,
  snapshot: { size: 1_000_000 } as never,
  rows: [],
})

describe('RoomHeads', () => {
  let reads: number[]
  let extremities: ForwardExtremity[]
  let heads: RoomHeads

  beforeEach(() => {
    reads = []
    extremities = [{ eventNid: 1, eventId: '$1', depth: 1, stateAfter: 7 } as unknown as ForwardExtremity]
    const graph = {
      listForwardExtremities: (_q: unknown, roomNid: number) => {
        reads.push(roomNid)
        return Promise.resolve(extremities)
      },
    }
    const resolver = { resolve: (_room: unknown, nids: number[]) => Promise.resolve(state(nids[0]!)) }
    heads = new RoomHeads({ reader: undefined } as never, graph as never, resolver as never)
  })

  it('reads a room once', async () => {
    const head = await heads.get(roomOf(1))
    expect(head.state.nid).to.equal(7)
    expect(await heads.get(roomOf(1))).to.equal(head)
    expect(reads).to.deep.equal([1])
  })

  it('keeps a head that is ahead of the database, however many other rooms there are', async () => {
    const busy = await heads.get(roomOf(1))
    heads.advance(busy, { extremities: [], state: state(8) }, [[5, event]])
    expect(heads.pendingOf(roomOf(1)).has(5)).to.be.true
    for (let roomNid = 2; roomNid < 20; roomNid++) await heads.get(roomOf(roomNid))
    expect(await heads.get(roomOf(1))).to.equal(busy)
    heads.settle(busy, [5])
    expect(heads.pendingOf(roomOf(1)).size).to.equal(0)
    reads.length = 0
    for (let roomNid = 20; roomNid < 40; roomNid++) await heads.get(roomOf(roomNid))
    expect(await heads.get(roomOf(1))).not.to.equal(busy)
  })

  it('has none of a room that was removed, also for who had begun to read it', async () => {
    const reading = heads.find(roomOf(1))
    heads.close(roomOf(1))
    expect(await reading).to.equal(undefined)
    expect(await rejection(heads.get(roomOf(1)))).to.include({ status: 403 })
    expect(() => heads.pendingOf(roomOf(1))).to.throw('Unknown room')
  })

  it('reads a room anew when a commit has failed', async () => {
    const head = await heads.get(roomOf(1))
    heads.advance(head, { extremities: [], state: state(8) }, [[5, event]])
    heads.fail(head)
    expect(head.failed).to.be.true
    const next = await heads.get(roomOf(1))
    expect(next).not.to.equal(head)
    expect(next.pending.size).to.equal(0)
    // The failure of a head that has been replaced does not touch its successor.
    heads.fail(head)
    expect(await heads.get(roomOf(1))).to.equal(next)
  })

  it('does not write the rows of a state twice', async () => {
    const head = await heads.get(roomOf(1))
    const rows = [{} as never]
    heads.advance(head, { extremities: [], state: { ...state(8), rows } }, [])
    expect(head.state.rows).to.deep.equal([])
  })

  it('refuses rooms that this server is not in', async () => {
    extremities = []
    expect(await rejection(heads.get(roomOf(1)))).to.include({ errcode: 'M_FORBIDDEN' })
  })
})
