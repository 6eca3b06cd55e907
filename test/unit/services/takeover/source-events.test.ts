import { expect } from 'chai'
import fc from 'fast-check'
import {
  eventNidOf,
  eventOf,
  missingNidOf,
  missingNumberOf,
  replacedStateIn,
} from '../../../../src/services/takeover/source-events.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { rulesOf } from '../../../support/auth-room.js'

const IDS = { eventId: '$event', roomId: '!room:hs' }

function text(more: JsonObject = {}): string {
  return JSON.stringify({
    type: 'm.room.message',
    sender: '@alice:hs',
    room_id: '!room:hs',
    content: { body: 'Hello' },
    prev_events: ['$before'],
    auth_events: [],
    depth: 7,
    origin_server_ts: 1,
    hashes: { sha256: '' },
    signatures: {},
    ...more,
  })
}

describe('events of a Synapse', () => {
  it('have a nid each, whether they are new, fetched as history, or missing', () => {
    const position = fc.integer({ min: 1, max: 1_000_000_000 })
    fc.assert(
      fc.property(position, position, position, (newer, older, missing) => {
        const nids = new Set([eventNidOf(newer), eventNidOf(-older), missingNidOf(missing)])
        expect(nids.size).to.equal(3)
        expect(missingNumberOf(missingNidOf(missing))).to.equal(missing)
        expect(missingNumberOf(eventNidOf(newer))).to.equal(undefined)
        expect(missingNumberOf(eventNidOf(-older))).to.equal(undefined)
        expect(eventNidOf(newer + 1)).to.be.greaterThan(eventNidOf(newer))
      }),
    )
  })

  it('lose what their server has written beside them, but for what came with an invitation', () => {
    const unsigned = { age_ts: 1, replaces_state: '$old', invite_room_state: [{ type: 'm.room.name' }] }
    const event = eventOf(rulesOf('10'), text({ unsigned }), IDS)
    expect(event.json.unsigned).to.deep.equal({ invite_room_state: [{ type: 'm.room.name' }] })
    expect(eventOf(rulesOf('10'), text({ unsigned: { age_ts: 1 } }), IDS).json).to.not.have.property(
      'unsigned',
    )
    expect(event.prevEventIds).to.deep.equal(['$before'])
  })

  it('keep numbers as they are where JavaScript would round them', () => {
    const source = text({ unsigned: { age: 1 } }).replace('"depth":7', '"depth":12345678901234567890')
    const event = eventOf(rulesOf('1'), source, IDS)
    expect(event.toText()).to.include('"depth":12345678901234567890').and.to.not.include('unsigned')
    expect(event.depth).to.equal(Number.MAX_SAFE_INTEGER)
  })

  it('say what they replaced', () => {
    expect(replacedStateIn(text({ unsigned: { replaces_state: '$old' } }))).to.equal('$old')
    expect(replacedStateIn(text({ content: { replaces_state: '$no' } }))).to.equal(undefined)
    expect(replacedStateIn(text())).to.equal(undefined)
  })

  for (const bad of ['{}', '[', text({ content: 'no' }), text({ prev_events: 1 })]) {
    it(`are not ${bad.slice(0, 30)}`, () => {
      expect(() => eventOf(rulesOf('10'), bad, IDS)).to.throw()
    })
  }
})
