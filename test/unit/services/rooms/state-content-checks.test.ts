import { expect } from 'chai'
import type { RoomId, ServerName } from '../../../../src/protocol/ids.js'
import {
  checkServerAclContent,
  checkTombstoneContent,
} from '../../../../src/services/rooms/state-content-checks.js'
import type { JsonObject } from '../../../../src/util/json.js'

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

describe('a new tombstone', () => {
  const check = (content: JsonObject) => (): void => {
    checkTombstoneContent(content, '!old:hs.test' as RoomId)
  }

  it('names another room', () => {
    expect(check({ body: 'Moved', replacement_room: '!new:hs.test' })).not.to.throw()
    expect(check({ replacement_room: '!old:hs.test' }))
      .to.throw()
      .with.property('errcode', 'M_INVALID_PARAM')
    expect(check({ body: 'Moved' }))
      .to.throw()
      .with.property('errcode', 'M_BAD_JSON')
    expect(check({ replacement_room: 1 }))
      .to.throw()
      .with.property('errcode', 'M_BAD_JSON')
  })
})
