import { expect } from 'chai'
import type { ServerName } from '../../../src/protocol/ids.js'
import { ServerAcl } from '../../../src/protocol/server-acl.js'
import type { JsonObject } from '../../../src/util/json.js'

const EVERYBODY = { allow: ['*'] }

describe('server ACL', () => {
  const cases: { content: JsonObject; allowed?: string[]; denied?: string[] }[] = [
    { content: {}, denied: ['example.org', '1.2.3.4', '[::1]'] },
    { content: EVERYBODY, allowed: ['example.org', '1.2.3.4', '[::1]:80', 'example.org:8448'] },
    { content: { allow: 'example.org' }, denied: ['example.org'] },
    { content: { allow: [3, null, 'example.org'] }, allowed: ['example.org'], denied: ['other.org'] },
    {
      content: { ...EVERYBODY, deny: ['evil.com', '*.evil.com'] },
      allowed: ['example.org', 'notevil.com', 'evil.com.org'],
      denied: [
        'evil.com',
        'evil.com:8448',
        'evil.com:1234',
        'a.evil.com',
        'a.b.evil.com:1',
        'EVIL.com',
        'A.Evil.Com',
      ],
    },
    {
      content: { ...EVERYBODY, deny: ['EVIL.com', 3] },
      denied: ['evil.com', 'evil.COM'],
      allowed: ['example.org'],
    },
    { content: { ...EVERYBODY, deny: 'evil.com' }, allowed: ['evil.com'] },
    {
      content: { allow: ['a?.org'] },
      allowed: ['ab.org', 'aB.org:1'],
      denied: ['a.org', 'abc.org', 'abxorg'],
    },
    { content: { allow: ['a.org:8448'] }, denied: ['a.org', 'a.org:8448'] },
    {
      content: { ...EVERYBODY, allow_ip_literals: false },
      allowed: ['example.org', '1.2.3.4.example.org', '1.2.3', '1.2.3.256', '1.2.3.4.5', '1.2.3.4.'],
      denied: ['1.2.3.4', '255.249.199.0', '1.2.3.4:80', '[::1]', '[1234::abcd]:8448'],
    },
    { content: { ...EVERYBODY, allow_ip_literals: 'false' }, allowed: ['1.2.3.4'] },
    { content: { ...EVERYBODY, allow_ip_literals: null }, allowed: ['[::1]'] },
    {
      content: { allow: ['1.2.3.*', '[::1]'] },
      allowed: ['1.2.3.4:80', '[::1]:80'],
      denied: ['1.2.4.4', '[::2]'],
    },
    { content: { allow: ['*.org'], deny: ['*'] }, denied: ['example.org'] },
  ]
  for (const { content, allowed = [], denied = [] } of cases) {
    it(`with ${JSON.stringify(content)}`, () => {
      const acl = new ServerAcl(content)
      for (const name of allowed) expect(acl.isAllowed(name as ServerName), name).to.equal(true)
      for (const name of denied) expect(acl.isAllowed(name as ServerName), name).to.equal(false)
    })
  }
})
