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

  it('may be tokens of Synapse, whose depths and positions of events are the same', () => {
    expect(tryParsePaginationToken('t12-345_757_0_1_1_1_1_1_1_0')).to.deep.equal({
      depth: 12,
      streamOrdering: 345,
    })
    expect(tryParsePaginationToken('t3--17_757_0_1_1_1_1_1_1_0')).to.deep.equal({
      depth: 3,
      streamOrdering: -17,
    })
    expect(tryParsePaginationToken('s58_757_0_1_1_1_1_1_1_0')?.streamOrdering).to.equal(58)
    expect(tryParsePaginationToken('m56~2.58~3.59_12_0_m4~1.5_1_1_1_1_0_2_1')?.streamOrdering).to.equal(56)
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
