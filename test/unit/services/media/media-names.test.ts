import { expect } from 'chai'
import { cleanContentType, cleanFileName } from '../../../../src/services/media/media-names.js'

describe('what senders say of files', () => {
  it('is their type where it can be one', () => {
    for (const type of ['image/png', 'Text/Plain; charset=utf-8', 'application/vnd.x+json', 'img/png']) {
      expect(cleanContentType(type)).to.equal(type)
    }
    for (const type of [
      undefined,
      '',
      'png',
      'image/',
      'a/b\r\nX: y',
      `a/${'b'.repeat(300)}`,
      'image/ü',
      'a/b, c/d',
    ]) {
      expect(cleanContentType(type)).to.equal('application/octet-stream')
    }
  })

  it('is their name, without what no name has', () => {
    expect(cleanFileName('a b;c.txt')).to.equal('a b;c.txt')
    expect(cleanFileName('a\r\nb\u0000c')).to.equal('abc')
    expect(cleanFileName('\ud800x')).to.equal('\ufffdx')
    expect(cleanFileName('')).to.equal(undefined)
    expect(cleanFileName(undefined)).to.equal(undefined)
    expect(cleanFileName('🐔'.repeat(2000))).to.have.length.of.at.most(1000)
  })
})
