import { expect } from 'chai'
import { MatrixError } from '../../../../src/protocol/errors.js'
import {
  displayUrl,
  isTrustedClient,
  parseRedirectUrl,
  withLoginToken,
} from '../../../../src/services/sign-on/client-redirects.js'

describe('where people are sent back to', () => {
  it('are sites and applications', () => {
    for (const url of [
      'https://app.example.org/',
      'http://localhost:8080/?a=b#/login',
      'io.element.app:/callback',
      'element://vector/webapp/',
      'org.example.client://x?loginToken=',
    ]) {
      expect(parseRedirectUrl(url)).to.equal(url)
    }
  })

  it('is no code, no page of somebody else’s making, and nothing that looks like another place', () => {
    for (const url of [
      undefined,
      '',
      'x',
      '//evil.example/',
      'javascript:alert(1)',
      'JAVASCRIPT:alert(1)',
      '\u0001javascript:alert(1)',
      'java\tscript:alert(1)',
      'data:text/html,x',
      'vbscript:x',
      'blob:https://x/1',
      'filesystem:https://x/1',
      'file:///etc/passwd',
      'about:blank',
      'view-source:https://x/',
      'https://good.example\\@evil.example/',
      'https://good.example@evil.example/',
      'https://:x@evil.example/',
      'https://good.example/\u0000',
      'https://good.example/\ud800',
      'https://good.example/\u00a0',
      `https://good.example/${'a'.repeat(4096)}`,
    ]) {
      expect(() => parseRedirectUrl(url), url).to.throw(MatrixError)
    }
  })

  it('get a token into their query, and lose those that others have put there', () => {
    for (const [url, expected] of [
      ['https://a.example', 'https://a.example?loginToken=t%2F1'],
      ['https://a.example/?', 'https://a.example/?loginToken=t%2F1'],
      ['https://a.example/?a=%20b&c#d?e', 'https://a.example/?a=%20b&c&loginToken=t%2F1#d?e'],
      ['https://a.example/?x=a?b', 'https://a.example/?x=a?b&loginToken=t%2F1'],
      ['https://a.example/?loginToken=evil&a=b', 'https://a.example/?a=b&loginToken=t%2F1'],
      ['https://a.example/?login%54oken=evil', 'https://a.example/?loginToken=t%2F1'],
      ['my.app:/', 'my.app:/?loginToken=t%2F1'],
    ] as const) {
      expect(withLoginToken(url, 't/1')).to.equal(expected)
    }
  })

  it('are shown by what people can judge', () => {
    expect(displayUrl('https://app.example.org:8443/a?b#c')).to.equal('app.example.org:8443')
    expect(displayUrl('https://аpp.example.org/')).to.equal('xn--pp-6kc.example.org')
    expect(displayUrl('http://app.example.org/a?b#c')).to.equal('http://app.example.org/a')
    expect(displayUrl('element://vector/webapp/?x')).to.equal('element://vector/webapp/')
    expect(displayUrl('io.element.app:/callback#x')).to.equal('io.element.app:/callback')
  })

  it('are trusted where they are an entry of the list or below it', () => {
    for (const [url, entry, isTrusted] of [
      ['https://good.example', 'https://good.example', true],
      ['https://good.example/a?b', 'https://good.example', true],
      ['https://GOOD.example:443/a', 'https://good.example/', true],
      ['https://good.example.evil.example/', 'https://good.example', false],
      ['https://good.example:8443/', 'https://good.example', false],
      ['http://good.example/', 'https://good.example', false],
      ['https://good.example/app', 'https://good.example/app', true],
      ['https://good.example/app?x', 'https://good.example/app', true],
      ['https://good.example/app/x', 'https://good.example/app', true],
      ['https://good.example/app/x', 'https://good.example/app/', true],
      ['https://good.example/apple', 'https://good.example/app', false],
      ['https://good.example/app/../evil', 'https://good.example/app/', false],
      ['https://good.example/app/%2e%2e/evil', 'https://good.example/app/', false],
      ['https://evil.example/https://good.example/', 'https://good.example/', false],
      ['element://vector/webapp', 'element://', true],
      ['element://vector/webapp', 'element://vector', true],
      ['element://vector.evil/webapp', 'element://vector', false],
      ['elements://vector', 'element://', false],
      ['my.app:/here', 'my.app:/', true],
      ['my.app:here', 'my.app:', true],
    ] as const) {
      expect(isTrustedClient(url, ['https://other.example/', entry]), `${url} of ${entry}`).to.equal(
        isTrusted,
      )
    }
    expect(isTrustedClient('https://good.example/', [])).to.equal(false)
  })
})
