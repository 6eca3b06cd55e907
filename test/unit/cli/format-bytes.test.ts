import { expect } from 'chai'
import { formatBytes } from '../../../src/cli/format-bytes.js'

describe('bytes for people', () => {
  it('have a unit and three digits or so', () => {
    expect([0, 1023, 1024, 1536, 150 * 1024, 5 * 1024 ** 3, 4000 * 1024 ** 4].map(formatBytes)).to.deep.equal(
      ['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '150 KiB', '5.0 GiB', '4000 TiB'],
    )
  })
})
