import { expect } from 'chai'
import fc from 'fast-check'
import { canonicalJson } from '../../../src/protocol/canonical-json.js'
import { verifySignature } from '../../../src/protocol/ed25519.js'
import { MatrixError } from '../../../src/protocol/errors.js'
import { buildEvent, type EventSigner, type NewEvent } from '../../../src/protocol/event-builder.js'
import { parseEvent } from '../../../src/protocol/event-format.js'
import { eventIdOf, hasValidContentHash, signedText } from '../../../src/protocol/hashes.js'
import type { EventId, RoomId, ServerName, UserId } from '../../../src/protocol/ids.js'
import { redactEvent } from '../../../src/protocol/redaction.js'
import { ROOM_VERSIONS, type RoomVersionRules } from '../../../src/protocol/room-versions.js'
import { isSignedBy } from '../../../src/protocol/signed-json.js'
import { createSigner, makeSigningKey, type SigningKey } from '../../../src/protocol/signing-keys.js'
import type { JsonObject } from '../../../src/util/json.js'
import { anyText } from '../../support/any-text.js'

const serverName = 'example.org' as ServerName
const HASH = 'V7rF6DcjNhzEtNLdW9kWHYWmkv3xHdJdPYHkOvJLnl8'

function draft(rules: RoomVersionRules, changes: Partial<NewEvent> = {}): NewEvent {
  const reference = { eventId: `$${HASH}` as EventId, ...(rules.eventIdFormat === 'v1' && { sha256: HASH }) }
  return {
    roomId: (rules.roomIdIsCreateHash ? `!${HASH}` : '!room:example.org') as RoomId,
    type: 'm.room.message',
    sender: '@alice:example.org' as UserId,
    content: { msgtype: 'm.text', body: 'Hello' },
    prevEvents: [reference],
    authEvents: [reference],
    depth: 7,
    originServerTs: 1_700_000_000_000,
    ...changes,
  }
}

const errcodeOf = (run: () => unknown): string | undefined => {
  try {
    run()
  } catch (error) {
    return error instanceof MatrixError ? error.errcode : String(error)
  }
  return undefined
}

describe('building events', () => {
  let key: SigningKey
  let signer: EventSigner
  before(async () => {
    key = makeSigningKey('a_1', Buffer.alloc(32, 1))
    signer = createSigner(serverName, key)
  })

  for (const rules of ROOM_VERSIONS.values()) {
    describe(`in room version ${rules.version}`, () => {
      const build = (changes: Partial<NewEvent> = {}): ReturnType<typeof buildEvent> =>
        buildEvent(rules, draft(rules, changes), signer)

      it('says what the draft says', () => {
        const event = build({ stateKey: 'key' })
        expect(event).to.include({
          type: 'm.room.message',
          sender: '@alice:example.org',
          stateKey: 'key',
          depth: 7,
          originServerTs: 1_700_000_000_000,
          roomId: draft(rules).roomId,
        })
        expect(event.content).to.deep.equal({ msgtype: 'm.text', body: 'Hello' })
        expect(event.prevEventIds).to.deep.equal([`$${HASH}`])
        expect(event.authEventIds).to.deep.equal([`$${HASH}`])
        expect(build().isState()).to.equal(false)
      })

      it('makes events that other servers take, whatever they say', () => {
        const keys = new Map([[key.keyId, key.key.verifyKey]])
        const contents = fc.dictionary(
          anyText(),
          fc.oneof(anyText(), fc.maxSafeInteger(), fc.array(fc.boolean()), fc.constant(null)),
        )
        const types = fc.constantFrom(
          'm.room.member',
          'm.room.power_levels',
          'm.room.redaction',
          'org.example.type',
        )
        fc.assert(
          fc.property(
            contents,
            types,
            fc.option(fc.constant('@bob:example.org')),
            (content, type, stateKey) => {
              const event = build({ content, type, ...(stateKey !== null && { stateKey }) })
              const received = parseEvent(rules, JSON.stringify(event.json))
              expect(received.eventId).to.equal(event.eventId)
              expect(received.roomId).to.equal(event.roomId)
              expect(JSON.stringify(received.json)).to.equal(JSON.stringify(event.json))
              expect(hasValidContentHash(received)).to.equal(true)
              const redacted = redactEvent(received)
              expect(isSignedBy(redacted.json as JsonObject, serverName, keys)).to.equal(true)
              expect(eventIdOf(rules, redacted.json)).to.equal(event.eventId)
            },
          ),
          { numRuns: 20 },
        )
      })

      it('signs what redaction keeps', () => {
        const event = build()
        const signature = event.json.signatures[serverName]![key.keyId]!
        expect(verifySignature(key.key.verifyKey, signedText(event), signature)).to.equal(true)
        expect(hasValidContentHash(event)).to.equal(true)
        expect(hasValidContentHash(redactEvent(event))).to.equal(false)
      })

      it('names equal events alike, others otherwise', () => {
        const { eventId } = build()
        expect(build().eventId).to.equal(eventId)
        expect(build({ content: { msgtype: 'm.text', body: 'Hello!' } }).eventId).not.to.equal(eventId)
        expect(build({ originServerTs: 1 }).eventId).not.to.equal(eventId)
        if (rules.eventIdFormat === 'v1') expect(eventId).to.match(/^\$[\w-]{43}:example\.org$/)
      })

      it('refers to events as the version does', () => {
        const { json } = build()
        const reference = rules.eventIdFormat === 'v1' ? [`$${HASH}`, { sha256: HASH }] : `$${HASH}`
        expect(json.prev_events).to.deep.equal([reference])
        expect(json.auth_events).to.deep.equal([reference])
      })

      it('puts the target of a redaction where the version has it', () => {
        const event = build({ type: 'm.room.redaction', content: { redacts: '$target', reason: 'spam' } })
        expect(event.redacts).to.equal('$target')
        const inContent = rules.redactsInContent
        expect(event.json.redacts).to.equal(inContent ? undefined : '$target')
        expect(event.content).to.deep.equal({ reason: 'spam', ...(inContent && { redacts: '$target' }) })
        const message = build({ content: { redacts: '$target' } })
        expect(message.content).to.deep.equal({ redacts: '$target' })
        expect(message.json).not.to.have.property('redacts')
      })

      it('makes canonical JSON of unsorted content and leaves that alone', () => {
        const content = { b: [{ d: 1, c: 2 }], a: 'x' }
        const event = build({ content })
        expect(JSON.stringify(content)).to.equal('{"b":[{"d":1,"c":2}],"a":"x"}')
        expect(JSON.stringify(event.json)).to.equal(canonicalJson(event.json as JsonObject))
      })

      it('keeps depth within what all can count', () => {
        expect(build({ depth: Number.MAX_SAFE_INTEGER + 2 }).depth).to.equal(Number.MAX_SAFE_INTEGER)
      })

      it('refuses what the version cannot carry', () => {
        expect(errcodeOf(() => build({ content: { x: 0.5 } }))).to.equal(
          rules.strictCanonicalJson ? 'M_BAD_JSON' : undefined,
        )
        expect(errcodeOf(() => build({ content: { x: '\udc00' } }))).to.equal('M_BAD_JSON')
        expect(errcodeOf(() => build({ type: 'a\u0000' }))).to.equal('M_BAD_JSON')
        expect(errcodeOf(() => build({ stateKey: '\u0000' }))).to.equal('M_BAD_JSON')
        expect(errcodeOf(() => build({ stateKey: '\ud800' }))).to.equal('M_BAD_JSON')
      })

      it('knows the limits of size to the byte', () => {
        const size = Buffer.byteLength(canonicalJson(build({ content: { body: 'ü' } }).json as JsonObject))
        const fits = (body: string): boolean => errcodeOf(() => build({ content: { body } })) === undefined
        expect(fits('ü' + 'a'.repeat(65_536 - size))).to.equal(true)
        expect(errcodeOf(() => build({ content: { body: 'ü' + 'a'.repeat(65_537 - size) } }))).to.equal(
          'M_TOO_LARGE',
        )
        expect(errcodeOf(() => build({ type: 'ü'.repeat(128) }))).to.equal('M_TOO_LARGE')
        expect(errcodeOf(() => build({ stateKey: 'a'.repeat(256) }))).to.equal('M_TOO_LARGE')
        expect(errcodeOf(() => build({ stateKey: 'a'.repeat(255) }))).to.equal(undefined)
      })
    })
  }

  it('makes the room ID of version 12 of the create event', () => {
    const rules = ROOM_VERSIONS.get('12')!
    const { roomId: _roomId, ...create } = draft(rules, {
      type: 'm.room.create',
      stateKey: '',
      content: { room_version: '12' },
      prevEvents: [],
      authEvents: [],
    })
    const event = buildEvent(rules, create, signer)
    expect(event.json).not.to.have.property('room_id')
    expect(event.roomId).to.equal(`!${event.eventId.slice(1)}`)
    expect(parseEvent(rules, JSON.stringify(event.json)).roomId).to.equal(event.roomId)
  })

  it('needs the hashes of other events in the first versions', () => {
    const rules = ROOM_VERSIONS.get('1')!
    const prevEvents = [{ eventId: '$a:b' as EventId }]
    expect(() => buildEvent(rules, draft(rules, { prevEvents }), signer)).to.throw(TypeError)
  })
})
