import { expect } from 'chai'
import { formatMxcUri, parseMxcUri } from '../../../src/protocol/mxc-uri.js'

describe('content URIs', () => {
  for (const uri of [
    'mxc://example.org/abc_DEF-123',
    'mxc://[::1]:8448/a',
    `mxc://a.b:1/${'x'.repeat(255)}`,
  ]) {
    it(`takes ${uri.slice(0, 40)}`, () => {
      const parsed = parseMxcUri(uri)
      expect(parsed && formatMxcUri(parsed)).to.equal(uri)
    })
  }
  it('gives the parts', () => {
    expect(parseMxcUri('mxc://example.org:80/abc')).to.deep.equal({
      serverName: 'example.org:80',
      mediaId: 'abc',
    })
  })
  const malformed = [
    '',
    'mxc://',
    'mxc://example.org',
    'mxc://example.org/',
    'mxc:///abc',
    'mxc://example.org/a/b',
    'mxc://example.org/../b',
    'mxc://example.org/..',
    'mxc://example.org/a.b',
    'mxc://example.org/a?b',
    'mxc://exa mple.org/abc',
    'MXC://example.org/abc',
    'http://example.org/abc',
    'mxc://example.org/abc\n',
    `mxc://example.org/${'x'.repeat(256)}`,
  ]
  for (const text of malformed) {
    it(`does not take ${JSON.stringify(text.slice(0, 40))}`, () => {
      expect(parseMxcUri(text)).to.equal(undefined)
    })
  }
})
