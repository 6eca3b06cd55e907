import { expect } from 'chai'
import { LETTERS, randomString, randomToken, UPPER_LETTERS } from '../../../src/util/random.js'

describe('random strings', () => {
  it('have the length and the letters asked for', () => {
    expect(randomString(10, UPPER_LETTERS)).to.match(/^[A-Z]{10}$/)
    expect(randomString(0)).to.equal('')
    expect(randomToken()).to.match(/^[A-Za-z]{24}$/)
    expect(randomToken(64)).to.have.length(64)
  })

  it('use every letter about as often', () => {
    const counts = new Map<string, number>()
    const text = randomString(52_000)
    for (const letter of text) counts.set(letter, (counts.get(letter) ?? 0) + 1)
    expect(counts.size).to.equal(LETTERS.length)
    // Of 1,000 expected each, a deviation of more than 250 is eight standard deviations.
    for (const count of counts.values()) expect(count).to.be.within(750, 1250)
  })
})
