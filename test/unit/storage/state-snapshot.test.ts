import { expect } from 'chai'
import fc from 'fast-check'
import { decodeChanges, encodeChanges, StateSnapshot } from '../../../src/storage/state-snapshot.js'

const entries = fc.uniqueArray(
  fc.tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 2 ** 40 })),
  {
    selector: ([key]) => key,
  },
)
const changes = fc
  .array(
    fc.tuple(
      fc.integer({ min: 1, max: 500 }),
      fc.option(fc.integer({ min: 1, max: 2 ** 40 }), { nil: undefined }),
    ),
  )
  .map((pairs) => new Map(pairs))

/** What a snapshot must be: a plain map, changed step by step. */
function applied(
  start: readonly (readonly [number, number])[],
  change: ReadonlyMap<number, number | undefined>,
): Map<number, number> {
  const map = new Map(start)
  for (const [key, event] of change) {
    if (event === undefined) map.delete(key)
    else map.set(key, event)
  }
  return map
}

describe('StateSnapshot', () => {
  it('holds what a plain map would hold, in the order of the keys', () => {
    fc.assert(
      fc.property(entries, changes, (start, change) => {
        const snapshot = StateSnapshot.from(start).with(change)
        const expected = [...applied(start, change)].sort((a, b) => a[0] - b[0])
        expect([...snapshot.entries()]).to.deep.equal(expected)
        for (let key = 1; key <= 500; key += 7) {
          expect(snapshot.get(key)).to.equal(applied(start, change).get(key))
        }
      }),
    )
  })

  it('gives equal states the same hash, whatever way led there', () => {
    fc.assert(
      fc.property(entries, changes, (start, change) => {
        const step = StateSnapshot.from(start).with(change)
        const direct = StateSnapshot.from(applied(start, change))
        const restored = StateSnapshot.restore(applied(start, change), step.hashText)
        expect(step.hashText).to.equal(direct.hashText)
        expect(restored.with(new Map([[501, 1]])).hashText).to.equal(
          direct.with(new Map([[501, 1]])).hashText,
        )
      }),
    )
  })

  it('gives different states different hashes', () => {
    const one = StateSnapshot.from([[1, 2]])
    expect(one.hashText).not.to.equal(StateSnapshot.from([[2, 1]]).hashText)
    expect(one.hashText).not.to.equal(StateSnapshot.empty.hashText)
  })

  it('is itself when nothing changes', () => {
    const snapshot = StateSnapshot.from([
      [1, 10],
      [2, 20],
    ])
    expect(snapshot.with(new Map([[1, 10]]))).to.equal(snapshot)
    expect(snapshot.with(new Map([[3, undefined]]))).to.equal(snapshot)
  })

  it('tells what turns one state into another', () => {
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        const from = StateSnapshot.from(a)
        const to = StateSnapshot.from(b)
        expect([...from.with(from.changesTo(to)).entries()]).to.deep.equal([...to.entries()])
        expect(from.with(from.changesTo(to)).hashText).to.equal(to.hashText)
      }),
    )
  })

  it('reads changes back from bytes', () => {
    fc.assert(
      fc.property(changes, (change) => {
        const sorted = [...change].sort((a, b) => a[0] - b[0])
        expect([...decodeChanges(encodeChanges(change))]).to.deep.equal(sorted)
      }),
    )
  })
})
