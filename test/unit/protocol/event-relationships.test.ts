import { expect } from 'chai'
import {
  digestChildren,
  digestToJson,
  parseDigest,
  relationshipOf,
  totalOf,
} from '../../../src/protocol/event-relationships.js'
import type { Event } from '../../../src/protocol/event.js'
import type { EventId } from '../../../src/protocol/ids.js'

function withRelationship(relationship: unknown, isState = false): Event {
  return { content: { 'm.relationship': relationship }, isState: () => isState } as unknown as Event
}

describe('event relationships', () => {
  it('are read where they make sense', () => {
    const relationship = { rel_type: 'm.reference', event_id: '$parent' }
    const read = { parentId: '$parent', relType: 'm.reference' }
    expect(relationshipOf(withRelationship(relationship))).to.deep.equal(read)
    expect(relationshipOf(withRelationship(relationship, true))).to.equal(undefined)
    for (const wrong of [
      undefined,
      'text',
      {},
      { event_id: '$parent' },
      { rel_type: 'm.reference' },
      { rel_type: 1, event_id: '$parent' },
      { rel_type: 'm.reference', event_id: 'parent' },
      { rel_type: 'a\u0000b', event_id: '$parent' },
      { rel_type: 'a\ud800b', event_id: '$parent' },
      { rel_type: 'a'.repeat(256), event_id: '$parent' },
    ]) {
      expect(relationshipOf(withRelationship(wrong)), JSON.stringify(wrong)).to.equal(undefined)
    }
  })

  it('have a digest that does not depend on their order', () => {
    const children: [EventId, string][] = [
      ['$b' as EventId, 'm.reference'],
      ['$a' as EventId, 'm.reference'],
      ['$c' as EventId, 'other'],
    ]
    const digest = digestChildren(new Map(children))
    expect(digest).to.deep.equal(digestChildren(new Map([...children].reverse())))
    expect(digest.counts).to.deep.equal({ 'm.reference': 2, other: 1 })
    // printf '$a$b$c' | sha256sum | xxd -r -p | base64
    expect(digest.hash).to.equal('zm+FmFllKup5QMKW/k/KbWBCtnOIeXkxawDa+qppD5o')
    expect(totalOf(digest)).to.equal(3)
    expect(parseDigest(digestToJson(digest))).to.deep.equal(digest)
  })

  it('are counted whatever their kinds are called', () => {
    const kinds = ['constructor', '__proto__', 'constructor', 'toString']
    const digest = digestChildren(new Map(kinds.map((kind, index) => [`$${index}` as EventId, kind])))
    expect(Object.entries(digest.counts)).to.have.deep.members([
      ['constructor', 2],
      ['__proto__', 1],
      ['toString', 1],
    ])
    expect(totalOf(digest)).to.equal(4)
  })

  it('are not believed where another server makes no sense', () => {
    const { hash } = digestChildren(new Map())
    for (const wrong of [
      undefined,
      {},
      { children: {}, children_hash: 'short' },
      { children: 1, children_hash: hash },
      { children: { 'm.reference': 'many' }, children_hash: hash },
      { children: { 'm.reference': 1.5 }, children_hash: hash },
      { children: { 'm.reference': -1 }, children_hash: hash },
    ]) {
      expect(parseDigest(wrong), JSON.stringify(wrong)).to.equal(undefined)
    }
  })
})
