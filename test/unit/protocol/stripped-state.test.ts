import { expect } from 'chai'
import { Event, type PduJson } from '../../../src/protocol/event.js'
import type { EventId, RoomId } from '../../../src/protocol/ids.js'
import { getRoomVersionRules } from '../../../src/protocol/room-versions.js'
import { pruneStrippedState, stripStateEvent } from '../../../src/protocol/stripped-state.js'
import type { JsonValue } from '../../../src/util/json.js'

const stripped = {
  content: { name: 'Room' },
  sender: '@alice:example.org',
  state_key: '',
  type: 'm.room.name',
}
const pdu = {
  ...stripped,
  room_id: '!r:example.org',
  origin_server_ts: 1,
  depth: 1,
  prev_events: [],
  auth_events: [],
  hashes: { sha256: '' },
  signatures: {},
} satisfies PduJson

describe('stripped state', () => {
  const ids = { eventId: '$e' as EventId, roomId: '!r:example.org' as RoomId }
  const rules = getRoomVersionRules('10')!

  it('is sender, type, state key and content', () => {
    expect(stripStateEvent(new Event(rules, pdu, ids))).to.deep.equal(stripped)
  })

  it('has the time of a create event that names the room', () => {
    const create = { ...pdu, type: 'm.room.create', content: { room_version: '12' } }
    const withTime = { ...stripped, type: create.type, content: create.content, origin_server_ts: 1 }
    const named = stripStateEvent(new Event(getRoomVersionRules('12')!, create, ids))
    expect(named).to.deep.equal(withTime)
    expect(stripStateEvent(new Event(rules, create, ids))).not.to.have.property('origin_server_ts')
    const older = { ...create, content: { room_version: '10' } }
    const untimely = { ...create, origin_server_ts: 'now' }
    const [kept, ...others] = pruneStrippedState([create, older, untimely])
    expect(kept).to.deep.equal(withTime)
    expect(others.length).to.equal(2)
    for (const other of others) expect(other).not.to.have.property('origin_server_ts')
  })

  it('is not made of other events', () => {
    const { state_key: _stateKey, ...message } = pdu
    expect(() => stripStateEvent(new Event(rules, message, ids))).to.throw(TypeError)
  })

  it('from others is pruned to what clients may have', () => {
    expect(pruneStrippedState([pdu, stripped, { ...stripped, unsigned: {}, origin: 'x' }])).to.deep.equal([
      stripped,
      stripped,
      stripped,
    ])
  })

  it('from others is left out where it is malformed', () => {
    const malformed: JsonValue[] = [
      null,
      3,
      'text',
      [],
      { ...stripped, sender: 'alice' },
      { ...stripped, sender: 3 },
      { ...stripped, content: [] },
      { ...stripped, state_key: null },
      { ...stripped, type: 1 },
      {},
    ]
    expect(pruneStrippedState([...malformed, stripped])).to.deep.equal([stripped])
    for (const received of [undefined, null, {}, 'x', 3])
      expect(pruneStrippedState(received)).to.deep.equal([])
  })
})
