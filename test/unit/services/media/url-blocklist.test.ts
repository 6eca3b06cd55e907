import { expect } from 'chai'
import { compileUrlBlocklist } from '../../../../src/services/media/url-blocklist.js'

describe('the blocklist of URLs', () => {
  function blocks(entry: Record<string, string>, ...urls: string[]): boolean[] {
    const isBlocked = compileUrlBlocklist([entry])
    return urls.map((url) => isBlocked(new URL(url)))
  }

  it('matches parts of URLs by globs, and by regular expressions after ^', () => {
    expect(
      blocks({ netloc: 'example.org' }, 'https://example.org/a', 'https://www.example.org/'),
    ).to.deep.equal([true, false])
    expect(
      blocks({ netloc: '*.example.org' }, 'https://example.org/', 'https://www.example.org/'),
    ).to.deep.equal([false, true])
    expect(blocks({ hostname: '^[0-9.]+$' }, 'https://10.0.0.1/', 'https://a.org/')).to.deep.equal([
      true,
      false,
    ])
    expect(blocks({ path: '*.php' }, 'https://a.org/x.php', 'https://a.org/x')).to.deep.equal([true, false])
    expect(blocks({ query: '*secret*' }, 'https://a.org/?secret=1', 'https://a.org/secret')).to.deep.equal([
      true,
      false,
    ])
  })

  it('takes what is not there for no match', () => {
    expect(blocks({ username: '*' }, 'https://a@b.org/', 'https://b.org/')).to.deep.equal([true, false])
    expect(blocks({ port: '^[0-9]+$' }, 'https://b.org:8443/', 'https://b.org/')).to.deep.equal([true, false])
  })

  it('wants all parts of an entry to match, and one entry', () => {
    const isBlocked = compileUrlBlocklist([{ scheme: 'http', netloc: 'a.org' }, { netloc: 'b.org' }, {}])
    const urls = ['http://a.org/', 'https://a.org/', 'https://b.org/', 'https://c.org/']
    expect(urls.map((url) => isBlocked(new URL(url)))).to.deep.equal([true, false, true, false])
  })

  it('refuses what cannot be meant', () => {
    expect(() => compileUrlBlocklist([{ domain: 'a.org' }])).to.throw('domain is no part of a URL')
    expect(() => compileUrlBlocklist([{ path: '^(' }])).to.throw(SyntaxError)
  })
})
