import { expect } from 'chai'
import { StickyRetrials } from '../../../../src/services/events/sticky-retrials.js'
import type { StickyEventsStore } from '../../../../src/storage/stores/sticky-events.js'
import { ManualClock } from '../../../support/manual-clock.js'

const WAITING = 250

/** Retrials of events that nobody ever allows, and the nids of those that were looked at in each run. */
function createRetrials(): { retrials: StickyRetrials; looked: number[][] } {
  const looked: number[][] = []
  const nids = Array.from({ length: WAITING }, (_, index) => index + 1)
  const store: Pick<StickyEventsStore, 'listWaiting'> = {
    listWaiting: (_q, { after, limit }) => Promise.resolve(nids.filter((nid) => nid > after).slice(0, limit)),
  }
  const events = {
    getByNids: (_q: unknown, asked: number[]) => {
      looked.push(asked)
      return Promise.resolve(new Map())
    },
  }
  const rooms = { getByNids: () => Promise.resolve(new Map()) }
  const parts = { clock: new ManualClock(), store, events, rooms }
  return { retrials: new StickyRetrials({ reader: undefined } as never, parts as never), looked }
}

describe('StickyRetrials', () => {
  it('gives every event its turn, though those before it are refused each time', async () => {
    const { retrials, looked } = createRetrials()
    const { signal } = new AbortController()
    for (let run = 0; run < 4; run++) await retrials.run(signal)
    expect(looked.map((nids) => [nids[0], nids.at(-1)])).to.deep.equal([
      [1, 100],
      [101, 200],
      [201, 250],
      [1, 100],
    ])
  })
})
