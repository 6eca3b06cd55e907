import { expect } from 'chai'
import fc from 'fast-check'
import { Watermark } from '../../../../src/services/federation/watermark.js'

describe('Watermark', () => {
  it('stands before the oldest position that is held', () => {
    const watermark = new Watermark()
    watermark.advance(10)
    expect(watermark.position).to.equal(10)
    watermark.hold(12)
    watermark.hold(12)
    watermark.hold(15)
    watermark.advance(20)
    expect(watermark.position).to.equal(11)
    watermark.release(15)
    watermark.release(12)
    expect(watermark.position).to.equal(11)
    watermark.release(12)
    expect(watermark.position).to.equal(20)
  })

  it('never passes what is held, and reaches everything in the end', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 30 }), (counts) => {
        const watermark = new Watermark()
        const held: number[] = []
        counts.forEach((count, index) => {
          const position = index + 1
          for (let n = 0; n < count; n++) {
            watermark.hold(position)
            held.push(position)
          }
          watermark.advance(position)
        })
        while (held.length > 0) {
          expect(watermark.position).to.equal(Math.min(...held) - 1)
          const [released] = held.splice((held.length * 7) % held.length, 1)
          watermark.release(released!)
        }
        expect(watermark.position).to.equal(counts.length)
      }),
    )
  })
})
