import { expect } from 'chai'
import fc from 'fast-check'
import { Event, type PduJson } from '../../../src/protocol/event.js'
import { essentialText, eventIdOf } from '../../../src/protocol/hashes.js'
import type { EventId, RoomId } from '../../../src/protocol/ids.js'
import { redactEvent, redactPdu } from '../../../src/protocol/redaction.js'
import { getRoomVersionRules, ROOM_VERSIONS } from '../../../src/protocol/room-versions.js'
import type { JsonObject } from '../../../src/util/json.js'

const ALL = [...ROOM_VERSIONS.keys()]
const until = (last: string): string[] => ALL.slice(0, ALL.indexOf(last) + 1)
const since = (first: string): string[] => ALL.slice(ALL.indexOf(first))
const NONE: string[] = []

/** Which room versions keep a key of the content, by event type. https://spec.matrix.org/latest/rooms/ */
const KEPT: Record<string, Record<string, readonly string[]>> = {
  'm.room.member': {
    membership: ALL,
    join_authorised_via_users_server: since('9'),
    displayname: NONE,
    avatar_url: NONE,
    reason: NONE,
  },
  'm.room.create': {
    creator: ALL,
    room_version: since('11'),
    predecessor: since('11'),
    'm.federate': since('11'),
    additional_creators: since('11'),
  },
  'm.room.join_rules': { join_rule: ALL, allow: since('8'), other: NONE },
  'm.room.power_levels': {
    ban: ALL,
    events: ALL,
    events_default: ALL,
    kick: ALL,
    redact: ALL,
    state_default: ALL,
    users: ALL,
    users_default: ALL,
    invite: since('11'),
    notifications: NONE,
  },
  'm.room.history_visibility': { history_visibility: ALL, other: NONE },
  'm.room.aliases': { aliases: until('5'), other: NONE },
  'm.room.redaction': { redacts: since('11'), reason: NONE },
  'm.room.message': { body: NONE, membership: NONE, redacts: NONE },
  'm.room.name': { name: NONE },
  'm.room.third_party_invite': { public_key: NONE, key_validity_url: NONE },
}

/** Which room versions keep a key of the event. */
const KEPT_KEYS: Record<string, readonly string[]> = {
  event_id: ALL,
  type: ALL,
  room_id: ALL,
  sender: ALL,
  state_key: ALL,
  content: ALL,
  hashes: ALL,
  signatures: ALL,
  depth: ALL,
  prev_events: ALL,
  auth_events: ALL,
  origin_server_ts: ALL,
  prev_state: until('10'),
  origin: until('10'),
  membership: until('10'),
  unsigned: NONE,
  redacts: NONE,
  age_ts: NONE,
  'org.example.custom': NONE,
}

function pdu(type: string, content: JsonObject = {}): PduJson {
  return {
    event_id: '$e:example.org',
    type,
    room_id: '!r:example.org',
    sender: '@alice:example.org',
    state_key: '',
    content,
    hashes: { sha256: 'hash' },
    signatures: { 'example.org': { 'ed25519:1': 'signature' } },
    depth: 3,
    prev_events: ['$p'],
    prev_state: [],
    auth_events: ['$a'],
    origin: 'example.org',
    origin_server_ts: 5,
    membership: 'join',
    unsigned: { age: 1 },
    redacts: '$r',
    age_ts: 3,
    'org.example.custom': true,
  }
}

describe('redaction', () => {
  for (const rules of ROOM_VERSIONS.values()) {
    describe(`in room version ${rules.version}`, () => {
      it('keeps the keys of events that the rules need', () => {
        const json = pdu('m.room.message')
        const expected = Object.keys(json).filter((key) => KEPT_KEYS[key]!.includes(rules.version))
        const redacted = redactPdu(rules, json)
        expect(Object.keys(redacted)).to.have.members(expected)
        for (const key of expected) expect(redacted[key]).to.deep.equal(json[key])
        expect(Object.keys(redacted)).to.deep.equal(Object.keys(redacted).sort())
      })

      for (const [type, keys] of Object.entries(KEPT)) {
        it(`keeps what the rules need of ${type}`, () => {
          const content = Object.fromEntries(Object.keys(keys).map((key) => [key, { value: key }]))
          const expected = Object.entries(keys).filter(([, versions]) => versions.includes(rules.version))
          expect(redactPdu(rules, pdu(type, content)).content).to.deep.equal(
            Object.fromEntries(expected.map(([key]) => [key, content[key]])),
          )
        })
      }

      it('keeps no more of third-party invites than who signed them, if that', () => {
        const redactInvite = (invite: JsonObject[string]): JsonObject =>
          redactPdu(rules, pdu('m.room.member', { membership: 'invite', third_party_invite: invite })).content
        const whole = redactInvite({ display_name: 'A', signed: { token: 't' } })
        const unsigned = redactInvite({ display_name: 'A' })
        const malformed = redactInvite('text')
        if (rules.redactionV11) {
          expect(whole).to.deep.equal({
            membership: 'invite',
            third_party_invite: { signed: { token: 't' } },
          })
          expect(unsigned).to.deep.equal({ membership: 'invite', third_party_invite: {} })
        } else {
          expect(whole).to.deep.equal({ membership: 'invite' })
          expect(unsigned).to.deep.equal({ membership: 'invite' })
        }
        expect(malformed).to.deep.equal({ membership: 'invite' })
      })

      it('does not change the event, and changes nothing the second time', () => {
        const types = fc.oneof(fc.constantFrom(...Object.keys(KEPT)), fc.string())
        const keys = fc.constantFrom(
          ...new Set(Object.values(KEPT).flatMap(Object.keys)),
          'third_party_invite',
        )
        const contents = fc.dictionary(keys, fc.jsonValue() as fc.Arbitrary<JsonObject[string]>)
        fc.assert(
          fc.property(types, contents, (type, content) => {
            const json = pdu(type, content)
            const before = structuredClone(json)
            const once = redactPdu(rules, json)
            expect(json).to.deep.equal(before)
            expect(redactPdu(rules, once)).to.deep.equal(once)
            expect(eventIdOf(rules, once)).to.equal(eventIdOf(rules, json))
            expect(essentialText(rules, once)).to.equal(essentialText(rules, json))
          }),
          { numRuns: 50 },
        )
      })
    })
  }

  it('gives an event of the same identity', () => {
    const rules = getRoomVersionRules('10')!
    const ids = { eventId: '$id' as EventId, roomId: '!r:example.org' as RoomId }
    const redacted = redactEvent(new Event(rules, pdu('m.room.message', { body: 'secret' }), ids))
    expect(redacted.content).to.deep.equal({})
    expect(redacted).to.include({ ...ids, type: 'm.room.message', sender: '@alice:example.org', depth: 3 })
    expect(redacted.prevEventIds).to.deep.equal(['$p'])
    expect(redacted.rules).to.equal(rules)
  })

  it('needs no state key and no room ID', () => {
    const { state_key: _stateKey, room_id: _roomId, ...json } = pdu('m.room.create', { a: 1 })
    const redacted = redactPdu(getRoomVersionRules('12')!, json)
    expect(redacted).not.to.have.any.keys('state_key', 'room_id')
    expect(redacted.content).to.deep.equal({ a: 1 })
  })
})
