import { expect } from 'chai'
import fc from 'fast-check'
import {
  formatPaginationToken,
  parsePaginationToken,
  tryParsePaginationToken,
} from '../../../src/protocol/pagination-token.js'

describe('pagination tokens', () => {
  it('come back as they were written', () => {
    const depth = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
    const position = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
    fc.assert(
      fc.property(depth, position, (depthHere, streamOrdering) => {
        const token = { depth: depthHere, streamOrdering }
        expect(tryParsePaginationToken(formatPaginationToken(token))).to.deep.equal(token)
      }),
    )
  })

  it('may be tokens of /sync, of which the events count', () => {
    expect(tryParsePaginationToken('s42_1_2_3_4_5_6_7')).to.deep.equal({ streamOrdering: 42 })
    expect(tryParsePaginationToken(formatPaginationToken({ streamOrdering: 42 }))).to.deep.equal({
      streamOrdering: 42,
    })
  })

  for (const text of [
    '',
    't',
    't1',
    't1-',
    't-1-2',
    't1-2-3',
    's',
    's1-2',
    't1_2',
    't99999999999999999-1',
    ' t1-2',
  ]) {
    it(`are not ${JSON.stringify(text)}`, () => {
      expect(tryParsePaginationToken(text)).to.equal(undefined)
      expect(() => parsePaginationToken(text, 'from'))
        .to.throw(/from/)
        .with.property('errcode', 'M_INVALID_PARAM')
    })
  }
})
