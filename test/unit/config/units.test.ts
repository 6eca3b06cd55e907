import { expect } from 'chai'
import { parseDurationMs, parseSize } from '../../../src/config/units.js'

describe('parseDurationMs', () => {
  const durations: [unknown, number | undefined][] = [
    [0, 0],
    [1500, 1500],
    ['1500', 1500],
    ['1s', 1000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['30d', 2_592_000_000],
    ['1w', 604_800_000],
    ['1y', 31_536_000_000],
    ['1.5h', undefined],
    ['1h30m', undefined],
    ['5 m', undefined],
    ['5M', undefined],
    ['5ms', undefined],
    ['-5m', undefined],
    [-1, undefined],
    [1.5, undefined],
    [NaN, undefined],
    [true, undefined],
    [null, undefined],
    ['99999999999999y', undefined],
  ]
  for (const [raw, expected] of durations) {
    it(`takes ${JSON.stringify(raw)} for ${expected ?? 'no duration'}`, () => {
      expect(parseDurationMs(raw)).to.equal(expected)
    })
  }
})

describe('parseSize', () => {
  const sizes: [unknown, number | undefined][] = [
    [0, 0],
    ['1024', 1024],
    ['10K', 10_240],
    ['50M', 52_428_800],
    ['2G', 2_147_483_648],
    ['1T', 1_099_511_627_776],
    ['50m', undefined],
    ['50MiB', undefined],
    ['50MB', undefined],
    ['1.5M', undefined],
    ['-1', undefined],
    [[], undefined],
  ]
  for (const [raw, expected] of sizes) {
    it(`takes ${JSON.stringify(raw)} for ${expected ?? 'no size'}`, () => {
      expect(parseSize(raw)).to.equal(expected)
    })
  }
})
