import { expect } from 'chai'
import { givenContent, memberContent } from '../../../../src/services/rooms/member-content.js'

describe('contents of memberships', () => {
  it('take from clients what is theirs to say', () => {
    const content = {
      membership: 'ban',
      displayname: 'A',
      avatar_url: null,
      reason: 'x',
      join_authorised_via_users_server: '@x:y',
      third_party_invite: {},
      third_party_signed: {},
    }
    expect(givenContent(content, { keepsProfile: true })).to.deep.equal({
      displayname: 'A',
      avatar_url: null,
      reason: 'x',
    })
    expect(givenContent(content, { keepsProfile: false })).to.deep.equal({ reason: 'x' })
  })

  it('have names that are text of a bounded length', () => {
    const keepsProfile = true
    expect(() => givenContent({ displayname: '🐈'.repeat(256) }, { keepsProfile })).not.to.throw()
    for (const content of [
      { displayname: 'x'.repeat(257) },
      { displayname: 5 },
      { avatar_url: 'x'.repeat(1001) },
      { avatar_url: {} },
    ]) {
      expect(() => givenContent(content, { keepsProfile }))
        .to.throw()
        .with.property('errcode', 'M_BAD_JSON')
    }
  })

  it('repeat the profile where nothing else is given', () => {
    const profile = { displayName: 'Alice', avatarUrl: undefined, fields: {} }
    expect(memberContent('join', {}, profile)).to.deep.equal({ membership: 'join', displayname: 'Alice' })
    expect(memberContent('join', { displayname: 'Al' }, profile)).to.deep.equal({
      membership: 'join',
      displayname: 'Al',
    })
    expect(memberContent('leave', { reason: 'x' }, undefined)).to.deep.equal({
      membership: 'leave',
      reason: 'x',
    })
  })
})
