import { expect } from 'chai'
import { listedAuthEvents, nextInGraph } from '../../../../src/services/events/event-assembler.js'
import type { ForwardExtremity } from '../../../../src/storage/stores/event-graph.js'
import type { StoredEvent } from '../../../../src/storage/stores/events.js'
import { stateKeyOf } from '../../../../src/protocol/state-map.js'
import { plainEvent, rulesOf } from '../../../support/auth-room.js'

const leaf = (eventNid: number, depth: number): ForwardExtremity =>
  ({ eventNid, eventId: `$${eventNid}`, depth, stateAfter: 1 }) as unknown as ForwardExtremity

describe('nextInGraph', () => {
  it('follows what is there, one deeper than the deepest', () => {
    expect(nextInGraph([])).to.deep.equal({ prev: [], depth: 1 })
    const leaves = [leaf(1, 5), leaf(2, 3)]
    expect(nextInGraph(leaves)).to.deep.equal({ prev: leaves, depth: 6 })
  })

  it('follows ten at most', () => {
    const leaves = Array.from({ length: 25 }, (_, index) => leaf(index, 100 - index))
    expect(nextInGraph(leaves)).to.deep.equal({ prev: leaves.slice(0, 10), depth: 101 })
  })

  it('stays within what events can carry', () => {
    const { depth } = nextInGraph([leaf(1, Number.MAX_SAFE_INTEGER)])
    expect(depth).to.equal(Number.MAX_SAFE_INTEGER)
  })
})

describe('listedAuthEvents', () => {
  it('leaves the create event out from version 12 on', () => {
    for (const [version, count] of [
      ['11', 2],
      ['12', 1],
    ] as const) {
      const rules = rulesOf(version)
      const stored = (type: string): StoredEvent =>
        ({ event: plainEvent(rules, { type, sender: '@a:b', stateKey: '' }) }) as StoredEvent
      const state = new Map(
        ['m.room.create', 'm.room.power_levels'].map((type) => [stateKeyOf(type, ''), stored(type)] as const),
      )
      expect(listedAuthEvents(rules, state)).to.have.length(count)
    }
  })
})
