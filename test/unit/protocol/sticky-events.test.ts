import { expect } from 'chai'
import type { PduJson } from '../../../src/protocol/event.js'
import { MAX_STICKY_MS, stickyUntil } from '../../../src/protocol/sticky-events.js'
import type { JsonValue } from '../../../src/util/json.js'

function until(
  sticky: JsonValue | undefined,
  originServerTs: number,
  receivedTs: number,
): number | undefined {
  const json = { ...(sticky !== undefined && { msc4354_sticky: sticky }) } as unknown as PduJson
  return stickyUntil({ json, originServerTs }, receivedTs)
}

describe('protocol/sticky-events', () => {
  it('last from when they were sent, as far as that is past', () => {
    expect(until({ duration_ms: 5_000 }, 1_000, 2_000)).to.equal(6_000)
    expect(until({ duration_ms: 5_000 }, 9_000, 2_000)).to.equal(7_000)
  })

  it('last an hour at most', () => {
    expect(until({ duration_ms: 10 * MAX_STICKY_MS }, 1_000, 2_000)).to.equal(1_000 + MAX_STICKY_MS)
  })

  for (const sticky of [
    undefined,
    null,
    5_000,
    [],
    {},
    { duration_ms: '5' },
    { duration_ms: -1 },
    { duration_ms: 0.5 },
  ]) {
    it(`are none with ${JSON.stringify(sticky)}`, () => {
      expect(until(sticky, 1_000, 2_000)).to.equal(undefined)
    })
  }
})
