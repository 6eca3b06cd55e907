import { crc32 } from 'node:zlib'
import { expect } from 'chai'
import type { UserId } from '../../../../src/protocol/ids.js'
import { hashToken, makeToken } from '../../../../src/services/accounts/token-format.js'

const userId = '@alice:hs.test' as UserId

describe('tokens', () => {
  it('have the shape that tools know', () => {
    expect(makeToken('access', userId)).to.match(/^syt_YWxpY2U_[A-Za-z]{20}_[0-9A-Za-z]{6}$/)
    expect(makeToken('refresh', userId)).to.match(/^syr_YWxpY2U_[A-Za-z]{20}_[0-9A-Za-z]{6}$/)
    expect(makeToken('login', userId)).to.match(/^syl_YWxpY2U_[A-Za-z]{20}_[0-9A-Za-z]{6}$/)
  })

  it('end with a checksum of the rest', () => {
    const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
    for (let i = 0; i < 50; i++) {
      const token = makeToken('access', userId)
      const end = token.lastIndexOf('_')
      const checksum = Array.from(token.slice(end + 1)).reduce(
        (sum, digit) => sum * 62 + alphabet.indexOf(digit),
        0,
      )
      expect(checksum).to.equal(crc32(token.slice(0, end)))
    }
  })

  it('never come twice', () => {
    const tokens = new Set(Array.from({ length: 1000 }, () => makeToken('access', userId)))
    expect(tokens.size).to.equal(1000)
  })

  it('are known by their SHA-256', () => {
    expect(hashToken('abc')).to.equal('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })
})
