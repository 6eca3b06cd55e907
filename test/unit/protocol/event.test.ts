import { expect } from 'chai'
import { Event, type PduJson } from '../../../src/protocol/event.js'
import type { EventId, RoomId } from '../../../src/protocol/ids.js'
import { getRoomVersionRules } from '../../../src/protocol/room-versions.js'

const ids = { eventId: '$e' as EventId, roomId: '!r:example.org' as RoomId }

function event(version: string, changes: Partial<PduJson> = {}): Event {
  const json: PduJson = {
    type: 'm.room.redaction',
    sender: '@a:example.org',
    room_id: '!r:example.org',
    content: { redacts: '$inside' },
    redacts: '$outside',
    origin_server_ts: 5,
    depth: 3,
    prev_events: ['$p'],
    auth_events: [],
    hashes: { sha256: '' },
    signatures: {},
    ...changes,
  }
  return new Event(getRoomVersionRules(version)!, json, ids)
}

describe('an event', () => {
  it('names others, with their hashes or without', () => {
    const pairs = event('1', { prev_events: [['$p:b', { sha256: 'x' }]], auth_events: [['$a:b', {}]] })
    expect(pairs.prevEventIds).to.deep.equal(['$p:b'])
    expect(pairs.authEventIds).to.deep.equal(['$a:b'])
    expect(event('12', { auth_events: ['$a', '$b'] }).authEventIds).to.deep.equal(['$a', '$b'])
  })

  it('is state when it has a state key, even an empty one', () => {
    expect(event('10').isState()).to.equal(false)
    expect(event('10', { state_key: '' }).isState()).to.equal(true)
    expect(event('10', { state_key: '' }).stateKey).to.equal('')
  })

  it('redacts what the room version says', () => {
    expect(event('10').redacts).to.equal('$outside')
    expect(event('11').redacts).to.equal('$inside')
    expect(event('11', { content: { redacts: 3 } }).redacts).to.equal(undefined)
  })

  it('counts within what all can count', () => {
    const extreme = event('1', { depth: 2 ** 63, origin_server_ts: -(2 ** 60) })
    expect(extreme.depth).to.equal(Number.MAX_SAFE_INTEGER)
    expect(extreme.originServerTs).to.equal(-Number.MAX_SAFE_INTEGER)
    expect(event('1')).to.include({ depth: 3, originServerTs: 5 })
  })

  it('is written as JSON', () => {
    const plain = event('1')
    expect(JSON.parse(plain.toText())).to.deep.equal(plain.json)
    const exact = new Event(plain.rules, plain.json, { ...ids, exactText: '{"depth":3.0}' })
    expect(exact.toText()).to.equal('{"depth":3.0}')
  })
})
