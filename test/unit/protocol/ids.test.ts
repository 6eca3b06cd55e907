import { expect } from 'chai'
import {
  fitsBytes,
  isCompliantUserId,
  localpartOf,
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseServerName,
  parseUserId,
  serverNameOf,
  userIdOf,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../../src/protocol/ids.js'

const HASH = 'V7rF6DcjNhzEtNLdW9kWHYWmkv3xHdJdPYHkOvJLnl8'

describe('identifiers', () => {
  const cases: {
    what: string
    parse: (text: string) => string | undefined
    valid: readonly string[]
    invalid: readonly string[]
  }[] = [
    {
      what: 'server name',
      parse: parseServerName,
      valid: [
        'matrix.org',
        'matrix.org:8888',
        '1.2.3.4',
        '1.2.3.4:1234',
        '[1234:5678::abcd]',
        '[1234:5678::abcd]:5678',
        '[::ffff:1.2.3.4]',
        'localhost',
        'Example.ORG',
        'a'.repeat(255),
      ],
      invalid: [
        '',
        ':80',
        'a'.repeat(256),
        'matrix.org:',
        'matrix.org:123456',
        'matrix.org:8a',
        'a:b:1',
        'under_score.org',
        'exämple.org',
        'example.org/',
        'a b',
        'example.org\n',
        '[::1',
        '::1',
        '[]',
        '[:]',
        '[1:2:3]',
        '[::1]x',
        '[fe80::1%eth0]',
      ],
    },
    {
      what: 'user ID',
      parse: parseUserId,
      valid: [
        '@alice:example.org',
        '@a.b_c=d-e/f+g:example.org:8448',
        '@:example.org',
        '@Alice Smith:example.org',
        '@ünï€😀:example.org',
        '@a\u0001b:example.org',
        '@alice:[::1]:80',
        `@${'a'.repeat(242)}:example.org`,
      ],
      invalid: [
        '',
        '@',
        'alice:example.org',
        '@alice',
        '@alice:',
        '@alice:exa mple.org',
        '@a:b:example.org',
        '!alice:example.org',
        '@a\u0000b:example.org',
        '@a\ud800b:example.org',
        `@${'a'.repeat(243)}:example.org`,
        `@${'ü'.repeat(122)}:example.org`,
      ],
    },
    {
      what: 'room ID',
      parse: parseRoomId,
      valid: ['!abc:example.org', `!${HASH}`, '!:example.org', '!a/b c:example.org', `!${HASH}:example.org`],
      invalid: [
        '!',
        '!abc',
        `!${HASH}A`,
        `!${HASH.slice(1)}`,
        `!${HASH.slice(1)}+`,
        '#a:example.org',
        '!a:',
        '!a\u0000:b',
      ],
    },
    {
      what: 'room alias',
      parse: parseRoomAlias,
      valid: ['#room:example.org', '#:example.org', '#räum:example.org', '##a:example.org'],
      invalid: ['#room', '#room:', 'room:example.org', '#a\u0000:example.org', `#${'a'.repeat(255)}:b`],
    },
    {
      what: 'event ID',
      parse: parseEventId,
      valid: [`$${HASH}`, '$abc:example.org', '$a+/b', `$${'a'.repeat(254)}`],
      invalid: ['$', '', 'abc', `$${'a'.repeat(255)}`, '$a\u0000', '$\udc00', `$${'ü'.repeat(128)}`],
    },
  ]
  for (const { what, parse, valid, invalid } of cases) {
    for (const text of valid) {
      it(`takes ${JSON.stringify(text.slice(0, 60))} for a ${what}`, () => {
        expect(parse(text)).to.equal(text)
      })
    }
    for (const text of invalid) {
      it(`does not take ${JSON.stringify(text.slice(0, 60))} for a ${what}`, () => {
        expect(parse(text)).to.equal(undefined)
      })
    }
  }

  it('takes user IDs apart and puts them together', () => {
    const userId = userIdOf('a/b', 'example.org:8448' as ServerName)
    expect(userId).to.equal('@a/b:example.org:8448')
    expect(localpartOf(userId)).to.equal('a/b')
    expect(serverNameOf(userId)).to.equal('example.org:8448')
  })

  it('finds no server where there is none', () => {
    expect(serverNameOf(`!${HASH}`)).to.equal('')
    expect(localpartOf(`!${HASH}` as RoomId)).to.equal(HASH)
  })

  it('tells which users clients may be told of', () => {
    for (const userId of ['@alice:b', '@!~Aa%:b', '@a/b:b']) {
      expect(isCompliantUserId(userId as UserId), userId).to.equal(true)
    }
    for (const userId of ['@:b', '@a b:b', '@ü:b', '@a\u007f:b']) {
      expect(isCompliantUserId(userId as UserId), userId).to.equal(false)
    }
  })

  it('counts bytes, not characters', () => {
    expect(fitsBytes('aaaa', 4)).to.equal(true)
    expect(fitsBytes('aaaaa', 4)).to.equal(false)
    expect(fitsBytes('üü', 4)).to.equal(true)
    expect(fitsBytes('üüa', 4)).to.equal(false)
    expect(fitsBytes('😀', 4)).to.equal(true)
    expect(fitsBytes('😀a', 4)).to.equal(false)
  })
})
