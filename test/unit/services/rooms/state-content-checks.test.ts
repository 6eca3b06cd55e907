import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { checkServerAclContent } from '../../../../src/services/rooms/state-content-checks.js'

describe('a new access control list', () => {
  const check = (content: { allow?: string[]; deny?: string[] }, name: string) => (): void => {
    checkServerAclContent(content, name as ServerName)
  }

  it('does not shut out the server that it is made at', () => {
    expect(check({ allow: ['*'], deny: ['other.test'] }, 'hs.test')).not.to.throw()
    expect(check({ allow: ['*'], deny: ['hs.test'] }, 'hs.test')).to.throw('shuts out this server')
    expect(check({ allow: ['other.test'] }, 'hs.test')).to.throw('shuts out this server')
    expect(check({ allow: ['other.test'] }, 'hs.test:8448')).to.throw('shuts out this server')
  })

  it('may shut out others at the host of the server', () => {
    expect(check({ allow: ['*'], deny: ['hs.test'] }, 'hs.test:8448')).not.to.throw()
    expect(check({ allow: ['hs.test'] }, 'hs.test:8448')).not.to.throw()
  })
})
