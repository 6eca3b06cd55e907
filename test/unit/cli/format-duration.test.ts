import { expect } from 'chai'
import { formatDuration } from '../../../src/cli/format-duration.js'

describe('lengths of time for people', () => {
  it('have one unit or two', () => {
    const seconds = [
      0,
      0.44,
      1,
      9.94,
      12.3,
      59.4,
      60,
      185,
      3599,
      3600,
      7800,
      86_340,
      86_400,
      4 * 86_400 + 11_000,
    ]
    expect(seconds.map((s) => formatDuration(s * 1000))).to.deep.equal([
      '0 s',
      '0.4 s',
      '1 s',
      '9.9 s',
      '12 s',
      '59 s',
      '1 min 0 s',
      '3 min 5 s',
      '59 min 59 s',
      '1 h 0 min',
      '2 h 10 min',
      '23 h 59 min',
      '1 d 0 h',
      '4 d 3 h',
    ])
  })
})
