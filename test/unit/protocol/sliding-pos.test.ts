import { expect } from 'chai'
import fc from 'fast-check'
import { tryParsePaginationToken } from '../../../src/protocol/pagination-token.js'
import { formatSlidingPos, tryParseSlidingPos } from '../../../src/protocol/sliding-pos.js'
import { STREAM_START, STREAM_TOKEN_PARTS, type StreamToken } from '../../../src/protocol/stream-token.js'

describe('sliding-pos', () => {
  const position = fc.nat({ max: 10 ** 14 })
  const stream = fc
    .array(position, { minLength: STREAM_TOKEN_PARTS.length, maxLength: STREAM_TOKEN_PARTS.length })
    .map((positions) =>
      Object.fromEntries(STREAM_TOKEN_PARTS.map((part, index) => [part, positions[index] ?? 0])),
    ) as unknown as fc.Arbitrary<StreamToken>

  const paused = fc
    .dictionary(
      fc.constantFrom('typing', 'e2ee', 'account_data', 'io.element.msc4308.thread_subscriptions'),
      fc.array(position, { minLength: 1, maxLength: 2 }),
    )
    .map((extensions) => new Map(Object.entries(extensions)))

  it('reads what it has written, and so does what reads history', () => {
    fc.assert(
      fc.property(
        fc.record({ stream, connectionNid: position, version: position, threads: position, paused }),
        (pos) => {
          const text = formatSlidingPos(pos)
          expect(tryParseSlidingPos(text)).to.deep.equal(pos)
          expect(tryParsePaginationToken(text)).to.deep.equal({ streamOrdering: pos.stream.events })
        },
      ),
    )
  })

  it('takes nothing else', () => {
    const text = formatSlidingPos({
      ...{ stream: STREAM_START, connectionNid: 1, version: 2, threads: 3 },
      paused: new Map(),
    })
    expect(tryParseSlidingPos(`${text}~typing.5`)?.paused).to.deep.equal(new Map([['typing', [5]]]))
    for (const wrong of [
      '',
      's1',
      '~1~2~3',
      `${text}~4`,
      text.slice(0, -2),
      text.replace('2', '-2'),
      `x${text}`,
      `${text}~typing`,
      `${text}~typing.`,
      `${text}~typing.x`,
      `${text}~.5`,
      text + '~a.1'.repeat(21),
    ])
      expect(tryParseSlidingPos(wrong), wrong).to.equal(undefined)
  })
})
