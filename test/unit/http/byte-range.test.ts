import { expect } from 'chai'
import fc from 'fast-check'
import { matchesTag, parseRange } from '../../../src/http/byte-range.js'

describe('a range of bytes', () => {
  it('is within the file', () => {
    expect(parseRange('bytes=0-0', 10)).to.deep.equal({ start: 0, end: 0 })
    expect(parseRange('bytes=2-', 10)).to.deep.equal({ start: 2, end: 9 })
    expect(parseRange('bytes=-3', 10)).to.deep.equal({ start: 7, end: 9 })
    expect(parseRange('bytes=-30', 10)).to.deep.equal({ start: 0, end: 9 })
    expect(parseRange('bytes=5-99', 10)).to.deep.equal({ start: 5, end: 9 })
  })

  it('is nothing where it lies behind the end', () => {
    for (const header of ['bytes=10-', 'bytes=10-20', 'bytes=-0']) {
      expect(parseRange(header, 10)).to.equal('unsatisfiable')
    }
    expect(parseRange('bytes=0-', 0)).to.equal('unsatisfiable')
  })

  it('is the whole file where it cannot be read or is more than one', () => {
    for (const header of [undefined, '', 'bytes=-', 'bytes=3-2', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=a-b']) {
      expect(parseRange(header, 10)).to.equal(undefined)
    }
  })

  it('never leaves the file, whatever the header', () => {
    const text = fc.string({
      unit: fc.constantFrom('b', 'y', 't', 'e', 's', '=', '-', ',', '0', '7', '9', ' '),
    })
    fc.assert(
      fc.property(text, fc.nat(100), (header, length) => {
        const range = parseRange(`bytes=${header}`, length)
        if (range === undefined || range === 'unsatisfiable') return
        expect(range.start).to.be.within(0, range.end)
        expect(range.end).to.be.lessThan(length)
      }),
    )
  })
})

describe('a tag that a client has', () => {
  it('is any of those it names', () => {
    expect(matchesTag('"a"', '"a"')).to.equal(true)
    expect(matchesTag('"b", W/"a"', '"a"')).to.equal(true)
    expect(matchesTag('*', '"a"')).to.equal(true)
    expect(matchesTag('"b"', '"a"')).to.equal(false)
    expect(matchesTag(undefined, '"a"')).to.equal(false)
  })
})
