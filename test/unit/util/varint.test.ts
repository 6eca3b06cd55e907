import { expect } from 'chai'
import fc from 'fast-check'
import { VarintReader, VarintWriter } from '../../../src/util/varint.js'

describe('varint', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeNat()), (values) => {
        const writer = new VarintWriter(1)
        for (const value of values) writer.write(value)
        const reader = new VarintReader(writer.finish())
        const read: number[] = []
        while (!reader.done) read.push(reader.read())
        expect(read).to.deep.equal(values)
      }),
    )
  })

  it('takes one byte up to 127 and two up to 16,383', () => {
    const size = (value: number): number => {
      const writer = new VarintWriter()
      writer.write(value)
      return writer.finish().length
    }
    expect([0, 127, 128, 16_383, 16_384].map(size)).to.deep.equal([1, 1, 2, 2, 3])
  })

  it('refuses to read past the end', () => {
    expect(() => new VarintReader(Uint8Array.of(0x80)).read()).to.throw(RangeError)
  })
})
