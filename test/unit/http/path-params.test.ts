import { expect } from 'chai'
import { checkPathParams } from '../../../src/http/path-params.js'

const GOOD = {
  roomId: ['!abc:hs.test', '!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM'],
  userId: ['@alice:hs.test', '@Älice:hs.test'],
  eventId: ['$abc', '$abc:hs.test'],
  roomAlias: ['#room:hs.test'],
  serverName: ['hs.test:8448', '[::1]'],
  deviceId: ['ABC', 'with space'],
  eventType: ['', 'm.room.message', 'anything at all'],
}
const BAD = {
  roomId: ['', 'abc:hs.test', '#abc:hs.test', `!${'x'.repeat(300)}:hs.test`],
  userId: ['', 'alice', '@alice', `@${'x'.repeat(300)}:hs.test`],
  eventId: ['', 'abc', '$'],
  roomAlias: ['', 'room', '#room'],
  serverName: ['', 'a b', '[::g]'],
  deviceId: ['', 'a\u0000b'],
  eventType: ['m.\u0000'],
}

describe('http/path-params', () => {
  for (const [name, values] of Object.entries(GOOD)) {
    it(`takes what may be a ${name}`, () => {
      for (const value of values)
        expect(checkPathParams([name], { [name]: value })).to.deep.equal({ [name]: value })
    })
  }

  for (const [name, values] of Object.entries(BAD)) {
    it(`refuses what is no ${name}`, () => {
      for (const value of values) {
        expect(() => checkPathParams([name], { [name]: value }), JSON.stringify(value))
          .to.throw()
          .with.property('errcode', 'M_INVALID_PARAM')
      }
    })
  }

  it('gives what is left out as an empty text, and nothing that was not asked for', () => {
    expect(checkPathParams(['stateKey'], { other: 'x' })).to.deep.equal({ stateKey: '' })
  })
})
