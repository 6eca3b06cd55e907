import { expect } from 'chai'
import { searchableText } from '../../../src/protocol/searchable-text.js'

describe('searchable text', () => {
  it('is what the specification names of an event', () => {
    expect(searchableText('m.room.message', { body: 'a', topic: 'b' })).to.equal('a')
    expect(searchableText('m.room.name', { name: 'a' })).to.equal('a')
    expect(searchableText('m.room.topic', { topic: 'a' })).to.equal('a')
    for (const [type, content] of [
      ['m.room.message', { body: 1 }],
      ['m.room.message', {}],
      ['m.room.member', { body: 'a' }],
      ['constructor', { body: 'a' }],
    ] as const)
      expect(searchableText(type, content), type).to.equal('')
  })

  it('has a topic once, in plain', () => {
    const rich = { body: '<b>a</b>', mimetype: 'text/html' }
    const topic = (representations: unknown, more: object = {}) =>
      searchableText('m.room.topic', { ...more, 'm.topic': { 'm.text': representations } })
    expect(topic([rich, { body: 'a' }])).to.equal('a')
    expect(topic([rich, { body: 'a', mimetype: 'text/plain' }], { topic: 'a' })).to.equal('a')
    expect(topic([{ body: 'b' }], { topic: 'a' })).to.equal('a\nb')
    for (const nonsense of [[rich], 'a', [1, null, { body: 2 }], undefined])
      expect(topic(nonsense)).to.equal('')
  })
})
