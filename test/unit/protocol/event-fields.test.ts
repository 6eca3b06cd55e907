import { expect } from 'chai'
import { parseFieldPath, selectFields } from '../../../src/protocol/event-fields.js'
import type { JsonObject } from '../../../src/util/json.js'

function select(event: JsonObject, ...fields: string[]): JsonObject {
  return selectFields(event, fields.map(parseFieldPath))
}

describe('event fields', () => {
  const event = {
    type: 'm.room.message',
    content: { body: 'hi', 'm.relates_to': { rel_type: 'm.thread' }, 'back\\slash': 1 },
    event_id: '$a',
  }

  it('keeps what the paths name', () => {
    expect(select(event, 'type', 'content.body')).to.deep.equal({
      type: 'm.room.message',
      content: { body: 'hi' },
    })
  })

  it('knows dots and backslashes in names', () => {
    expect(parseFieldPath('content.m\\.relates_to.rel_type')).to.deep.equal([
      'content',
      'm.relates_to',
      'rel_type',
    ])
    expect(parseFieldPath('a\\\\.b\\c')).to.deep.equal(['a\\', 'b\\c'])
    expect(select(event, 'content.m\\.relates_to.rel_type')).to.deep.equal({
      content: { 'm.relates_to': { rel_type: 'm.thread' } },
    })
  })

  it('takes the larger of two paths, in whichever order', () => {
    expect(select(event, 'content.body', 'content')).to.deep.equal({ content: event.content })
    expect(select(event, 'content', 'content.body')).to.deep.equal({ content: event.content })
  })

  it('ignores paths that lead nowhere', () => {
    expect(select(event, 'content.body.deeper', 'nothing', 'content.nothing', '__proto__.x')).to.deep.equal(
      {},
    )
    expect(select(event)).to.deep.equal({})
  })

  it('does not change or share the event', () => {
    const before = structuredClone(event)
    const selected = select(event, 'content', 'content.body', 'content.m\\.relates_to')
    expect(event).to.deep.equal(before)
    expect(selected['content']).to.not.equal(event.content)
  })

  it('copies names like __proto__ as plain properties', () => {
    const hostile = JSON.parse('{"content": {"__proto__": {"polluted": true}}}') as JsonObject
    const selected = select(hostile, 'content.__proto__.polluted')
    expect(JSON.stringify(selected)).to.equal('{"content":{"__proto__":{"polluted":true}}}')
    expect(({} as Record<string, unknown>)['polluted']).to.equal(undefined)
  })
})
