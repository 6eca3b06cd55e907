import { expect } from 'chai'
import { MatrixError } from '../../../src/protocol/errors.js'
import { parseEvent } from '../../../src/protocol/event-format.js'
import { contentHash, hasValidContentHash } from '../../../src/protocol/hashes.js'
import type { PduJson } from '../../../src/protocol/event.js'
import { ROOM_VERSIONS, type RoomVersionRules } from '../../../src/protocol/room-versions.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'

const HASH = 'V7rF6DcjNhzEtNLdW9kWHYWmkv3xHdJdPYHkOvJLnl8'

/** An event in the format of a room version, with changes; `undefined` takes a member away. */
function valid(rules: RoomVersionRules, changes: Record<string, unknown> = {}): JsonObject {
  const reference = (id: string): JsonValue =>
    rules.eventIdFormat === 'v1' ? [`$${id}:example.org`, { sha256: HASH }] : `$${HASH.slice(0, -1)}${id}`
  const json = {
    type: 'm.room.message',
    sender: '@alice:example.org',
    room_id: rules.roomIdIsCreateHash ? `!${HASH}` : '!room:example.org',
    content: { msgtype: 'm.text', body: 'Hello' },
    origin_server_ts: 1_700_000_000_000,
    depth: 7,
    prev_events: [reference('p')],
    auth_events: [reference('a'), reference('b')],
    hashes: { sha256: HASH },
    signatures: { 'example.org': { 'ed25519:1': 'signature' } },
    ...(rules.eventIdFormat === 'v1' && { event_id: '$event:example.org' }),
    ...changes,
  }
  return JSON.parse(JSON.stringify(json)) as JsonObject
}

const errcodeOf = (run: () => unknown): string | undefined => {
  try {
    run()
  } catch (error) {
    return error instanceof MatrixError ? error.errcode : String(error)
  }
  return undefined
}

const many = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item)

describe('the format of events', () => {
  for (const rules of ROOM_VERSIONS.values()) {
    describe(`in room version ${rules.version}`, () => {
      const check = (changes: Record<string, unknown>): string | undefined =>
        errcodeOf(() => parseEvent(rules, valid(rules, changes)))

      it('takes an event from text or from JSON', () => {
        const json = valid(rules)
        for (const source of [json, JSON.stringify(json), ` ${JSON.stringify(json, undefined, 2)}\n`]) {
          const event = parseEvent(rules, source)
          expect(event.type).to.equal('m.room.message')
          expect(event.roomId).to.equal(json['room_id'])
          expect(event.json).to.deep.equal(json)
          expect(event.prevEventIds).to.have.length(1)
          expect(event.authEventIds).to.have.length(2)
          for (const id of [...event.prevEventIds, ...event.authEventIds]) expect(id).to.match(/^\$[^,[]+$/)
        }
      })

      it('names it', () => {
        const { eventId } = parseEvent(rules, valid(rules))
        if (rules.eventIdFormat === 'v1') expect(eventId).to.equal('$event:example.org')
        else expect(eventId).to.match(rules.eventIdFormat === 'v3' ? /^\$[\w+/]{43}$/ : /^\$[\w-]{43}$/)
        // An ID inside the event is only believed where the room version puts it there.
        const { eventId: claimed } = parseEvent(rules, valid(rules, { event_id: '$claimed:example.org' }))
        expect(claimed === '$claimed:example.org').to.equal(rules.eventIdFormat === 'v1')
      })

      it('brings its keys in order and drops what is unsigned', () => {
        const event = parseEvent(rules, valid(rules, { unsigned: { age: 1 }, another: { b: 1, a: 2 } }))
        expect(Object.keys(event.json)).to.deep.equal(Object.keys(event.json).sort())
        expect(JSON.stringify(event.json['another'])).to.equal('{"a":2,"b":1}')
        expect(event.json).not.to.have.property('unsigned')
      })

      it('keeps the content hash as it was', () => {
        const json = valid(rules, { unsigned: { age: 1 } }) as unknown as PduJson
        const hashed = { ...json, hashes: { sha256: contentHash(json) } } as unknown as JsonObject
        expect(hasValidContentHash(parseEvent(rules, hashed))).to.equal(true)
        expect(hasValidContentHash(parseEvent(rules, { ...hashed, depth: 8 }))).to.equal(false)
      })

      const required = [
        'type',
        'sender',
        'room_id',
        'content',
        'origin_server_ts',
        'depth',
        'prev_events',
        'auth_events',
        'hashes',
        'signatures',
        ...(rules.eventIdFormat === 'v1' ? ['event_id'] : []),
      ]
      for (const key of required) {
        it(`requires ${key} of the right type`, () => {
          for (const value of [undefined, null, true, [null], [[1]], -1.5]) {
            expect(check({ [key]: value }), JSON.stringify(value)).to.equal('M_BAD_JSON')
          }
          if (!['type', 'content', 'signatures'].includes(key)) {
            expect(check({ [key]: '' })).to.equal('M_BAD_JSON')
            expect(check({ [key]: {} })).to.equal('M_BAD_JSON')
          }
        })
      }

      it('checks identifiers', () => {
        for (const sender of [
          'alice',
          '@alice',
          '@alice:exa mple',
          '#alice:example.org',
          '@a\u0000:example.org',
        ]) {
          expect(check({ sender }), sender).to.equal('M_BAD_JSON')
        }
        expect(check({ sender: '@Älice with spaces:example.org' })).to.equal(undefined)
        const roomIds = rules.roomIdIsCreateHash
          ? ['!room:example.org', `!${HASH}:example.org`, `!${HASH}A`, `$${HASH}`]
          : [`!${HASH}`, '!room', '#room:example.org', '!room:', '!r\u0000:example.org']
        for (const room_id of roomIds) expect(check({ room_id }), room_id).to.equal('M_BAD_JSON')
        if (rules.eventIdFormat === 'v1') {
          for (const event_id of ['$event', 'event:example.org', '$']) {
            expect(check({ event_id }), event_id).to.equal('M_BAD_JSON')
          }
        }
      })

      it('checks the state key and the type', () => {
        for (const state_key of [null, 0, {}, 'a\u0000b']) expect(check({ state_key })).to.equal('M_BAD_JSON')
        expect(check({ type: 'a\u0000b' })).to.equal('M_BAD_JSON')
        for (const state_key of ['', '@alice:example.org', 'ü'])
          expect(check({ state_key })).to.equal(undefined)
        expect(check({ type: '' })).to.equal(undefined)
      })

      it('checks references', () => {
        const good = (valid(rules)['prev_events'] as JsonValue[])[0]!
        expect(check({ prev_events: many(20, good), auth_events: many(10, good) })).to.equal(undefined)
        expect(check({ prev_events: [], auth_events: [] })).to.equal(undefined)
        expect(check({ prev_events: many(21, good) })).to.equal('M_BAD_JSON')
        expect(check({ auth_events: many(11, good) })).to.equal('M_BAD_JSON')
        const otherFormat = rules.eventIdFormat === 'v1' ? '$id:example.org' : ['$id', { sha256: HASH }]
        for (const bad of [
          otherFormat,
          'id',
          '',
          3,
          null,
          {},
          ['$id:example.org'],
          ['$i:e', 3],
          ['$i:e', {}, 1],
        ]) {
          expect(check({ prev_events: [good, bad] }), JSON.stringify(bad)).to.equal('M_BAD_JSON')
          expect(check({ auth_events: [bad] }), JSON.stringify(bad)).to.equal('M_BAD_JSON')
        }
      })

      it('checks hashes and signatures', () => {
        for (const hashes of [{}, { sha256: 3 }, { md5: 'x' }])
          expect(check({ hashes })).to.equal('M_BAD_JSON')
        for (const signatures of [{ a: 3 }, { a: null }, { a: [] }, { a: { b: 3 } }, { a: 'b' }]) {
          expect(check({ signatures }), JSON.stringify(signatures)).to.equal('M_BAD_JSON')
        }
        expect(check({ signatures: {} })).to.equal(undefined)
        expect(check({ signatures: { a: {} } })).to.equal(undefined)
      })

      it('limits the sizes of fields, in bytes since version 11', () => {
        const sinceVersion11 = rules.redactionV11 ? 'M_TOO_LARGE' : undefined
        expect(check({ type: 'a'.repeat(255), state_key: 'ü'.repeat(127) })).to.equal(undefined)
        expect(check({ type: 'a'.repeat(256) })).to.equal('M_TOO_LARGE')
        expect(check({ state_key: 'ü'.repeat(128) })).to.equal(sinceVersion11)
        expect(check({ state_key: '💥'.repeat(255) })).to.equal(sinceVersion11)
        expect(check({ state_key: '💥'.repeat(256) })).to.equal('M_TOO_LARGE')
      })

      it('takes any number of references where the past is asked for', () => {
        const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `$${index}`)
        const references = rules.eventIdFormat === 'v1' ? many(30).map((id) => [`${id}:a`, {}]) : many(30)
        const event = valid(rules, { prev_events: references, auth_events: references })
        expect(() => parseEvent(rules, event)).to.throw()
        expect(parseEvent(rules, event, { anyReferences: true }).prevEventIds).to.have.length(30)
      })

      it('limits the size of the whole', () => {
        const size = JSON.stringify(valid(rules, { content: { body: '' } })).length
        expect(check({ content: { body: 'a'.repeat(65_536 - size) } })).to.equal(undefined)
        expect(check({ content: { body: 'a'.repeat(65_537 - size) } })).to.equal('M_TOO_LARGE')
        expect(check({ content: { body: 'ü'.repeat(40_000) } })).to.equal('M_TOO_LARGE')
        expect(
          check({ content: { body: 'a'.repeat(30_000) }, unsigned: { x: 'a'.repeat(60_000) } }),
        ).to.equal(undefined)
      })

      it('refuses negative depths, and takes the deepest', () => {
        expect(check({ depth: -1 })).to.equal('M_BAD_JSON')
        expect(check({ depth: 0 })).to.equal(undefined)
        expect(check({ depth: Number.MAX_SAFE_INTEGER })).to.equal(undefined)
      })

      it('is strict about numbers from version 6 on', () => {
        const expected = rules.strictCanonicalJson ? 'M_BAD_JSON' : undefined
        for (const number of ['1.5', '1.0', '1e3', '-0', '9007199254740992', '-9007199254740992', '1E2']) {
          const text = JSON.stringify(valid(rules, { content: { x: 4711 } })).replace('4711', number)
          expect(
            errcodeOf(() => parseEvent(rules, text)),
            number,
          ).to.equal(expected)
        }
        const loose = JSON.stringify(valid(rules)).replace('"depth":7', '"depth":7.0')
        expect(errcodeOf(() => parseEvent(rules, loose))).to.equal(expected)
        for (const value of [0.5, 2 ** 53, -(2 ** 60)])
          expect(check({ content: { value } })).to.equal(expected)
        const plain = JSON.stringify(valid(rules, { content: { x: '1.5 -0 "1e3', '2.5': 1 } }))
        expect(errcodeOf(() => parseEvent(rules, plain))).to.equal(undefined)
      })

      it('refuses what is no event', () => {
        for (const text of ['', '{', 'null', '[]', '"text"', '3']) {
          expect(
            errcodeOf(() => parseEvent(rules, text)),
            text,
          ).to.equal('M_BAD_JSON')
        }
        const surrogate = valid(rules, { content: { body: '\ud800' } })
        expect(errcodeOf(() => parseEvent(rules, surrogate))).to.equal('M_BAD_JSON')
        const deep = JSON.stringify(valid(rules)).replace('"Hello"', '['.repeat(20_000) + ']'.repeat(20_000))
        expect(errcodeOf(() => parseEvent(rules, deep))).to.equal('M_BAD_JSON')
      })
    })
  }

  it('makes the room ID of version 12 of the create event, which has none', () => {
    const rules = ROOM_VERSIONS.get('12')!
    const json = valid(rules, {
      type: 'm.room.create',
      state_key: '',
      prev_events: [],
      auth_events: [],
      room_id: undefined,
    })
    const event = parseEvent(rules, json)
    expect(event.roomId).to.equal(`!${event.eventId.slice(1)}`)
    expect(errcodeOf(() => parseEvent(rules, { ...json, room_id: event.roomId }))).to.equal('M_BAD_JSON')
    expect(errcodeOf(() => parseEvent(ROOM_VERSIONS.get('11')!, json))).to.equal('M_BAD_JSON')
  })
})
