import { expect } from 'chai'
import { chooseThumbnailSize } from '../../../../src/services/media/thumbnail-sizes.js'

const SIZES = [
  { width: 32, height: 32, method: 'crop' },
  { width: 96, height: 96, method: 'crop' },
  { width: 320, height: 240, method: 'scale' },
  { width: 640, height: 480, method: 'scale' },
] as const

describe('the size of a thumbnail', () => {
  function choose(width: number, height: number, method: 'crop' | 'scale', isDynamic = false): string {
    const size = chooseThumbnailSize(
      { width, height, method, isAnimated: false },
      { sizes: SIZES, isDynamic },
    )
    return `${size.width}x${size.height} ${size.method}`
  }

  it('is the smallest settled one that is not smaller than what is asked for', () => {
    expect(choose(32, 32, 'crop')).to.equal('32x32 crop')
    expect(choose(33, 32, 'crop')).to.equal('96x96 crop')
    expect(choose(32, 32, 'scale')).to.equal('320x240 scale')
    expect(choose(320, 241, 'scale')).to.equal('640x480 scale')
  })

  it('is of the other method where none of the same is large enough', () => {
    expect(choose(97, 97, 'crop')).to.equal('320x240 scale')
  })

  it('is the largest where all are smaller', () => {
    expect(choose(5000, 5000, 'crop')).to.equal('640x480 scale')
  })

  it('is what is asked for where that is wanted, within bounds', () => {
    expect(choose(123, 45, 'crop', true)).to.equal('123x45 crop')
    expect(choose(100_000, 45, 'scale', true)).to.equal('2048x45 scale')
  })
})
