import { expect } from 'chai'
import fc from 'fast-check'
import {
  formatStreamToken,
  parseSince,
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

  it('takes absent parts for zero', () => {
    expect(parseStreamToken('s17_4')).to.deep.equal({ ...STREAM_START, events: 17, receipts: 4 })
  })

  it('begins anew for whoever comes with a position of Synapse', () => {
    expect(parseSince('s1_2_3_4_5_6_7_8')).to.deep.equal(parseStreamToken('s1_2_3_4_5_6_7_8'))
    expect(parseSince('s58_757_0_1_1_1_1_1_1')).to.equal(undefined)
    expect(parseSince('m56~2.58~3.59_12_0_m4~1.5_1_1_1_1_0_2_1')).to.equal(undefined)
    expect(() => parseSince('s58_x')).to.throw()
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
    's1_2_3_4_5_6_7_8_9',
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
