import { expect } from 'chai'
import fc from 'fast-check'
import { containsWords } from '../../../src/util/glob.js'
import { WordIndex } from '../../../src/util/word-index.js'

const found = (names: readonly string[], text: string): string[] =>
  [...new WordIndex(names.map((name) => [name, name] as const)).find(text)].sort()

describe('util/word-index', () => {
  it('finds names whole, in any case', () => {
    const names = ['bob', 'Bob Dylan', 'ann-marie', '!x', 'Jörg']
    expect(found(names, 'BOB!')).to.deep.equal(['bob'])
    expect(found(names, 'bobby')).to.deep.equal([])
    expect(found(names, 'I like bob dylan and (Ann-Marie)')).to.deep.equal(['Bob Dylan', 'ann-marie', 'bob'])
    expect(found(names, 'wow!x')).to.deep.equal(['!x'])
    expect(found(names, 'JÖRG?')).to.deep.equal(['Jörg'])
  })

  it('gives everything that a name stands for, once', () => {
    const index = new WordIndex([
      ['bob', 1],
      ['Bob', 2],
    ])
    expect([...index.find('bob bob')]).to.deep.equal([1, 2])
    expect(index.size).to.equal(2)
  })

  it('never finds names that are empty or endless', () => {
    const endless = 'x'.repeat(1_000)
    expect(found(['', endless], `a ${endless}`)).to.deep.equal([])
  })

  it('agrees with looking for one name after the other', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '_', ' ', '!', 'é', '😀'), maxLength: 12 })
    const names = fc.uniqueArray(
      text.filter((name) => name !== ''),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(names, text, (all, where) => {
        expect(found(all, where)).to.deep.equal(all.filter((name) => containsWords(where, name)).sort())
      }),
      { numRuns: 2_000 },
    )
  })

  it('does not take long over names and texts made to take long', () => {
    const index = new WordIndex(
      Array.from({ length: 5_000 }, (_, n) => [`${'!'.repeat(300)}${n}`, n] as const),
    )
    const started = performance.now()
    expect(index.find('!'.repeat(60_000)).size).to.equal(0)
    expect(performance.now() - started).to.be.below(1_000)
  })
})
