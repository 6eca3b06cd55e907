import { expect } from 'chai'
import { fieldOf } from '../../../src/protocol/profile-fields.js'

describe('fieldOf', () => {
  it('gives what is set', () => {
    expect(fieldOf({ displayname: 'Alice' }, 'displayname')).to.equal('Alice')
    expect(fieldOf({ 'org.example.flag': false }, 'org.example.flag')).to.equal(false)
  })

  it('gives null for a name or an avatar that is not set', () => {
    expect(fieldOf({}, 'displayname')).to.equal(null)
    expect(fieldOf({}, 'avatar_url')).to.equal(null)
  })

  it('says of other fields that there are none', () => {
    for (const field of ['m.tz', 'toString']) {
      expect(() => fieldOf({}, field))
        .to.throw()
        .with.property('errcode', 'M_NOT_FOUND')
    }
  })
})
