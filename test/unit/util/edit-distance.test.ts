import { expect } from 'chai'
import fc from 'fast-check'
import { editDistance, nearestOf } from '../../../src/util/edit-distance.js'

describe('editDistance', () => {
  it('counts letters added, removed, replaced and swapped', () => {
    expect(editDistance('listeners', 'listeners')).to.equal(0)
    expect(editDistance('listener', 'listeners')).to.equal(1)
    expect(editDistance('lisseners', 'listeners')).to.equal(1)
    expect(editDistance('listneers', 'listeners')).to.equal(1)
    expect(editDistance('', 'abc')).to.equal(3)
    expect(editDistance('kitten', 'sitting')).to.equal(3)
  })

  it('is the same both ways, and bounded by the longer word', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        const distance = editDistance(a, b)
        expect(distance).to.equal(editDistance(b, a))
        expect(distance).to.be.at.most(Math.max(a.length, b.length))
        expect(distance === 0).to.equal(a === b)
      }),
    )
  })
})

describe('nearestOf', () => {
  const words = ['listeners', 'log_config', 'database', 'databases']

  it('finds the word that was meant', () => {
    expect(nearestOf('listner', words)).to.equal('listeners')
    expect(nearestOf('databas', words)).to.equal('database')
    expect(nearestOf('DATABASE', words)).to.equal('database')
  })

  it('finds nothing for words that are like none', () => {
    expect(nearestOf('frobnicate', words)).to.equal(undefined)
    expect(nearestOf('x', words)).to.equal(undefined)
  })
})
