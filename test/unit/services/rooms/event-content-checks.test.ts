import { expect } from 'chai'
import { checkEventContent } from '../../../../src/services/rooms/event-content-checks.js'
import type { JsonObject } from '../../../../src/util/json.js'

describe('the content of a new event', () => {
  const check = (type: string, content: JsonObject) => (): void => {
    checkEventContent(type, content)
  }
  const refuses = (type: string, content: JsonObject, message: string): void => {
    expect(check(type, content), JSON.stringify(content))
      .to.throw(message)
      .with.property('errcode', 'M_BAD_JSON')
  }

  it('has a kind and a text where it is a message', () => {
    const text = { msgtype: 'm.text', body: '' }
    expect(check('m.room.message', text)).not.to.throw()
    expect(check('org.example.note', {})).not.to.throw()
    refuses('m.room.message', { body: 'hello' }, 'msgtype')
    refuses('m.room.message', { ...text, msgtype: null }, 'msgtype')
    refuses('m.room.message', { msgtype: 'm.text' }, 'body')
    refuses('m.room.message', { ...text, body: 1 }, 'body')
    refuses('m.room.message', { ...text, body: ['hello'] }, 'body')
  })

  it('is text where it is a name or a topic, or takes it away', () => {
    for (const key of ['name', 'topic']) {
      expect(check(`m.room.${key}`, { [key]: 'Tea' })).not.to.throw()
      expect(check(`m.room.${key}`, { [key]: null })).not.to.throw()
      expect(check(`m.room.${key}`, {})).not.to.throw()
      refuses(`m.room.${key}`, { [key]: 1 }, key)
      refuses(`m.room.${key}`, { [key]: {} }, key)
    }
  })

  it('mentions users and rooms as clients look for them', () => {
    const mention = (mentions: JsonObject[string]): JsonObject => ({ 'm.mentions': mentions })
    for (const good of [{}, { user_ids: [] }, { user_ids: ['@bob:b.test'], room: true }, { else: 1 }])
      expect(check('org.example.note', mention(good)), JSON.stringify(good)).not.to.throw()
    for (const bad of [null, 'bob', ['@bob:b.test']]) refuses('org.example.note', mention(bad), 'an object')
    for (const bad of ['@bob:b.test', [1], null, { '@bob:b.test': {} }])
      refuses('org.example.note', mention({ user_ids: bad }), 'user_ids')
    for (const bad of ['true', 1, null]) refuses('org.example.note', mention({ room: bad }), 'room')
  })
})
