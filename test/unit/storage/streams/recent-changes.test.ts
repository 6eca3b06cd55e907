import { expect } from 'chai'
import fc from 'fast-check'
import { RecentChanges } from '../../../../src/storage/streams/recent-changes.js'

describe('RecentChanges', () => {
  it('knows what has not changed', () => {
    const changes = new RecentChanges<string>(10, { max: 5 })
    changes.record('a', 12)
    expect(changes.mayHaveChanged('a', 11)).to.equal(true)
    expect(changes.mayHaveChanged('a', 12)).to.equal(false)
    expect(changes.mayHaveChanged('b', 10)).to.equal(false)
  })

  it('takes what was before its time for changed', () => {
    const changes = new RecentChanges<string>(10, { max: 5 })
    expect(changes.mayHaveChanged('a', 9)).to.equal(true)
  })

  it('never denies a change, however little it remembers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        (keys, max) => {
          const changes = new RecentChanges<number>(0, { max })
          const last = new Map<number, number>()
          keys.forEach((key, index) => {
            changes.record(key, index + 1)
            last.set(key, index + 1)
          })
          for (let since = 0; since <= keys.length; since++) {
            for (const [key, position] of last) {
              if (position > since) expect(changes.mayHaveChanged(key, since)).to.equal(true)
            }
          }
        },
      ),
    )
  })
})
