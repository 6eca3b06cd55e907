import { expect } from 'chai'
import fc from 'fast-check'
import { JsonEncoder } from '../../../src/http/json-encoding.js'
import type { JsonValue } from '../../../src/util/json.js'

describe('JsonEncoder', () => {
  const encoder = new JsonEncoder()

  it('is what JSON.stringify makes, whatever is in it', () => {
    const leaf = fc.constantFrom<unknown>(
      0.5,
      null,
      undefined,
      'žluť \u{1f389}',
      '\ud800',
      '"\\\n\u0000',
      new Date(0),
      [1, [undefined]],
      { a: {} },
    )
    const wide = fc.oneof(
      fc.dictionary(fc.string({ unit: 'binary', maxLength: 5 }), leaf, {
        minKeys: 30,
        maxKeys: 40,
        noNullPrototype: true,
      }),
      fc.array(leaf, { minLength: 30, maxLength: 40 }),
    )
    const nested = fc.record({ next_batch: leaf, rooms: fc.record({ join: wide, leave: leaf }), chunk: wide })
    fc.assert(
      fc.property(fc.oneof(wide, nested), (value) => {
        expect(encoder.encode(value as JsonValue).toString()).to.equal(
          Buffer.from(JSON.stringify(value)).toString(),
        )
      }),
      { numRuns: 30 },
    )
  })

  it('writes what JSON has no text for as JSON.stringify does', () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`key${index}`, index]))
    const odd = {
      ...many,
      none: undefined,
      call: () => 1,
      mark: Symbol('a'),
      list: [undefined, () => 1, []],
      empty: {},
    }
    for (const value of [odd, { a: odd }, [odd], [...Array(40).keys(), undefined]]) {
      expect(encoder.encode(value as JsonValue).toString()).to.equal(JSON.stringify(value))
    }
  })

  it('gives answers that stay as they are when it writes others, of any length', () => {
    const values = [10, 10_000, 2_000_000, 20].map((length) =>
      Array.from({ length: 40 }, (_, index) => 'x'.repeat(index && length / 10)),
    )
    const encoded = values.map((value) => encoder.encode(value))
    for (const [index, value] of values.entries()) {
      expect(encoded[index]!.toString() === JSON.stringify(value)).to.equal(true)
    }
  })

  it('uses the memory of a long answer again, once that is sent and never before', () => {
    const own = new JsonEncoder()
    const long = (letter: string) => Array.from({ length: 40 }, () => letter.repeat(20_000))
    const encode = (letter: string) => own.encode(long(letter)) as Buffer
    const first = encode('a')
    const second = encode('b')
    expect(second.buffer).to.not.equal(first.buffer)
    own.sent(first)
    own.sent(first)
    const third = encode('c')
    expect(third.buffer).to.equal(first.buffer)
    const fourth = encode('d')
    expect(fourth.buffer).to.not.equal(third.buffer)
    for (const [bytes, letter] of [
      [second, 'b'],
      [third, 'c'],
      [fourth, 'd'],
    ] as const) {
      expect(bytes.toString() === JSON.stringify(long(letter))).to.equal(true)
    }
  })

  it('holds no more memory for an answer than twice its length', () => {
    const own = new JsonEncoder()
    own.encode(Array.from({ length: 40 }, () => 'a'.repeat(50_000)))
    for (const length of [100, 10_000, 50_000]) {
      const encoded = own.encode(Array.from({ length: 40 }, () => 'a'.repeat(length))) as Buffer
      expect(encoded.buffer.byteLength).to.be.at.most(2 * encoded.length)
      own.sent(encoded)
    }
  })

  it('writes on after something that cannot be written', () => {
    const cyclic: Record<string, unknown> = {}
    cyclic['self'] = cyclic
    const many = Array.from({ length: 40 }, () => 'x')
    expect(() => encoder.encode([...many, cyclic] as JsonValue)).to.throw(TypeError)
    expect(encoder.encode(many).toString()).to.equal(JSON.stringify(many))
  })

  it('encodes what is long, and leaves short texts to node', () => {
    expect(encoder.encode({ a: 1 })).to.equal('{"a":1}')
    expect(encoder.encode({ a: 'ž'.repeat(20_000) })).to.be.instanceOf(Buffer)
    expect(encoder.encode({ a: Array.from({ length: 40 }, () => 'ž') })).to.be.instanceOf(Buffer)
  })
})
