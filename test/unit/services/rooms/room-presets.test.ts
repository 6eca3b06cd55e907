import { expect } from 'chai'
import { getRoomVersionRules } from '../../../../src/protocol/room-versions.js'
import { initialPowerLevels, plainTopic, topicContent } from '../../../../src/services/rooms/room-presets.js'

describe('room presets', () => {
  it('give the creator of old rooms the highest level, and list no creators of new ones', () => {
    const levels = (version: string) =>
      initialPowerLevels({
        rules: getRoomVersionRules(version)!,
        creator: '@a:b',
        trusted: ['@c:d'],
        overrides: [{ invite: 0 }, { ban: 100 }],
      })
    expect(levels('11')).to.deep.include({ users: { '@a:b': 100, '@c:d': 100 }, invite: 0, ban: 100 })
    expect(levels('12')).to.deep.include({ users: {}, invite: 0, ban: 100 })
  })

  it('write topics so that they can be read back', () => {
    expect(plainTopic(topicContent('Cats'))).to.equal('Cats')
    expect(plainTopic({ topic: 'Cats' })).to.equal('Cats')
    expect(plainTopic({})).to.equal(undefined)
    const html = { mimetype: 'text/html', body: '<b>Cats</b>' }
    expect(plainTopic({ topic: 'old', 'm.topic': { 'm.text': [html, { body: 'new' }] } })).to.equal('new')
    expect(plainTopic({ topic: 'old', 'm.topic': { 'm.text': [html, 7, { body: 8 }] } })).to.equal('old')
    expect(plainTopic({ topic: 'old', 'm.topic': 'x' })).to.equal('old')
  })
})
