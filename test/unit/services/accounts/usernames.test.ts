import { expect } from 'chai'
import fc from 'fast-check'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { userIdForUsername, userIdsForLogin } from '../../../../src/services/accounts/usernames.js'

const serverName = 'hs.test:8448' as ServerName
const rules = { serverName, allowUnderscorePrefix: false }

describe('user names', () => {
  it('become user IDs that the grammar allows, or are refused', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.stringMatching(/^[A-z0-9.]+$/)),
        (name) => {
          let userId: string
          try {
            userId = userIdForUsername(name, rules)
          } catch (error) {
            expect(error).to.have.property('errcode', 'M_INVALID_USERNAME')
            return
          }
          expect(userId).to.match(/^@[a-z0-9._=\-/+]+:hs\.test:8448$/)
          expect(Buffer.byteLength(userId)).to.be.at.most(255)
        },
      ),
    )
  })

  it('are not mapped by Unicode: what looks alike is refused', () => {
    for (const name of ['\u212a', 'ℋ', 'ａ', 'ı', 'İ']) {
      expect(() => userIdForUsername(name, rules))
        .to.throw()
        .with.property('errcode', 'M_INVALID_USERNAME')
    }
  })

  it('may begin with an underscore where the configuration says so', () => {
    expect(userIdForUsername('_a', { ...rules, allowUnderscorePrefix: true })).to.equal('@_a:hs.test:8448')
  })

  it('fit those of this server when logging in', () => {
    expect(userIdsForLogin('Alice', serverName)).to.deep.equal(['@Alice:hs.test:8448', '@alice:hs.test:8448'])
    expect(userIdsForLogin('@alice:hs.test:8448', serverName)).to.deep.equal(['@alice:hs.test:8448'])
    for (const user of [
      '@alice:hs.test',
      '@alice',
      '',
      '@:hs.test:8448',
      'alice:b',
      '@alice:b:hs.test:8448',
      'x'.repeat(250),
    ]) {
      expect(userIdsForLogin(user, serverName), user).to.deep.equal([])
    }
  })
})
