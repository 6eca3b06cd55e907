import { expect } from 'chai'
import fc from 'fast-check'
import {
  formatStreamToken,
  parseStreamToken,
  STREAM_START,
  STREAM_TOKEN_PARTS,
  tryParseStreamToken,
} from '../../../src/protocol/stream-token.js'

describe('stream tokens', () => {
  const positions = fc.record(
    Object.fromEntries(
      STREAM_TOKEN_PARTS.map((part) => [part, fc.nat(Number.MAX_SAFE_INTEGER >>> 0)]),
    ) as Record<(typeof STREAM_TOKEN_PARTS)[number], fc.Arbitrary<number>>,
  )

  it('reads what it writes', () => {
    fc.assert(
      fc.property(positions, (token) => {
        expect(parseStreamToken(formatStreamToken(token))).to.deep.equal(token)
      }),
    )
  })

  it('keeps the order of the parts', () => {
    const token = {
      events: 1,
      receipts: 2,
      accountData: 3,
      presence: 4,
      typing: 1_767_225_600_000,
      toDevice: 6,
      deviceLists: 7,
      pushRules: 8,
    }
    expect(formatStreamToken(token)).to.equal('s1_2_3_4_1767225600000_6_7_8')
  })

  it('takes absent parts for zero and leaves out what it does not know', () => {
    expect(parseStreamToken('s17_4')).to.deep.equal({ ...STREAM_START, events: 17, receipts: 4 })
    expect(parseStreamToken('s1_2_3_4_5_6_7_8_9_10').pushRules).to.equal(8)
  })

  for (const text of [
    '',
    's',
    'x1',
    '1_2',
    's1_',
    's1__2',
    's-1',
    's1.5',
    't3-17',
    's1_2 ',
    's1_9999999999999999',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      expect(tryParseStreamToken(text)).to.equal(undefined)
      expect(() => parseStreamToken(text))
        .to.throw()
        .with.property('errcode', 'M_INVALID_PARAM')
    })
  }
})
