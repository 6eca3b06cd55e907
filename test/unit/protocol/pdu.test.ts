import { expect } from 'chai'
import { parseEvent, restoreEvent } from '../../../src/protocol/event-format.js'
import { buildEvent, type EventSigner } from '../../../src/protocol/event-builder.js'
import { hasValidContentHash } from '../../../src/protocol/hashes.js'
import type { RoomId, ServerName, UserId } from '../../../src/protocol/ids.js'
import {
  annotateEvent,
  buildFromTemplate,
  pduJson,
  pduText,
  signEvent,
  toTemplate,
} from '../../../src/protocol/pdu.js'
import { createSigner, makeSigningKey } from '../../../src/protocol/signing-keys.js'
import type { JsonObject } from '../../../src/util/json.js'
import { rulesOf } from '../../support/auth-room.js'

const ROOM = '!room:a.test' as RoomId
const ALICE = '@alice:a.test' as UserId

describe('events between servers', () => {
  let ours: EventSigner
  let theirs: EventSigner

  before(async () => {
    ours = createSigner('a.test' as ServerName, makeSigningKey('1', Buffer.alloc(32, 1)))
    theirs = createSigner('b.test' as ServerName, makeSigningKey('1', Buffer.alloc(32, 2)))
  })

  const make = (version: string, content: JsonObject = { membership: 'join' }) =>
    buildEvent(
      rulesOf(version),
      {
        roomId: ROOM,
        type: 'm.room.member',
        sender: ALICE,
        stateKey: ALICE,
        content,
        prevEvents: [{ eventId: '$prev:a.test' as never, sha256: 'hash' }],
        authEvents: [{ eventId: '$auth:a.test' as never, sha256: 'hash' }],
        depth: 7,
        originServerTs: 1_000,
      },
      ours,
    )

  for (const version of ['1', '3', '10', '11']) {
    it(`are made of templates (version ${version})`, () => {
      const template = toTemplate(make(version))
      expect(template).to.not.have.any.keys('hashes', 'signatures', 'event_id')
      const use = {
        roomId: ROOM,
        userId: ALICE,
        membership: 'join',
        content: { displayname: 'Alice', membership: 'leave' },
        originServerTs: 2_000,
      }
      const content = { membership: 'join', join_authorised_via_users_server: '@x:b.test', evil: true }
      const given = { ...template, content }
      const event = buildFromTemplate(rulesOf(version), given, { use, signer: theirs })
      expect(event.json).to.deep.include({
        prev_events: template['prev_events'],
        auth_events: template['auth_events'],
        depth: 7,
        origin_server_ts: 2_000,
        sender: ALICE,
        state_key: ALICE,
        content: {
          displayname: 'Alice',
          membership: 'join',
          join_authorised_via_users_server: '@x:b.test',
        },
      })
      expect(hasValidContentHash(event)).to.equal(true)
    })
  }

  it('are not made of templates that make no sense', () => {
    const template = toTemplate(make('10'))
    const use = { roomId: ROOM, userId: ALICE, membership: 'join', content: {}, originServerTs: 1 }
    const bad: unknown[] = [
      undefined,
      [],
      { ...template, depth: -1 },
      { ...template, depth: 0.5 },
      { ...template, prev_events: 'all' },
      { ...template, prev_events: [7] },
      { ...template, auth_events: ['no ID'] },
      { ...template, auth_events: Array.from({ length: 21 }, () => '$a') },
      { ...template, type: 'm.room.power_levels' },
      { ...template, room_id: '!other:a.test' },
      { ...template, sender: '@eve:a.test' },
      { ...template, state_key: '@eve:a.test' },
      { ...template, content: { membership: 'leave' } },
      { ...template, content: {} },
    ]
    for (const one of bad) {
      expect(() => buildFromTemplate(rulesOf('10'), one, { use, signer: theirs }), JSON.stringify(one))
        .to.throw()
        .with.property('status', 502)
    }
    const unhashed = { ...template, prev_events: ['$prev:a.test'] }
    expect(() => buildFromTemplate(rulesOf('1'), unhashed, { use, signer: theirs })).to.throw()
  })

  it('are made of templates that leave the hashes of others out', () => {
    const given = { ...toTemplate(make('1')), auth_events: [['$auth:a.test', {}]] }
    const use = { roomId: ROOM, userId: ALICE, membership: 'join', content: {}, originServerTs: 1 }
    const event = buildFromTemplate(rulesOf('1'), given, { use, signer: theirs })
    expect(event.json.auth_events).to.deep.equal([['$auth:a.test', {}]])
    expect(event.authEventIds).to.deep.equal(['$auth:a.test'])
    expect(parseEvent(rulesOf('1'), pduJson(event)).eventId).to.equal(event.eventId)
  })

  it('take signatures without becoming others', () => {
    for (const version of ['1', '4', '11']) {
      const event = make(version)
      const signed = signEvent(event, theirs)
      expect(signed.eventId).to.equal(event.eventId)
      expect(Object.keys(signed.json.signatures)).to.deep.equal(['a.test', 'b.test'])
      expect(parseEvent(rulesOf(version), pduJson(signed)).eventId).to.equal(event.eventId)
    }
  })

  it('keep what numbers they were hashed with', () => {
    const text = pduText(make('4')).replace('"membership":"join"', '"membership":"join","n":9007199254740993')
    const event = parseEvent(rulesOf('4'), text)
    const signed = signEvent(event, theirs)
    expect(pduText(signed)).to.include('9007199254740993').and.to.include('b.test')
  })

  it('do not carry what this server says of them', () => {
    const event = make('10')
    const annotated = annotateEvent(event, { invite_room_state: [] })
    const ids = { eventId: event.eventId, roomId: event.roomId }
    const restored = restoreEvent(rulesOf('10'), annotated.toText(), ids)
    expect(restored.json.unsigned).to.deep.equal({ invite_room_state: [] })
    expect(pduJson(restored)).to.deep.equal(pduJson(event))
    expect(JSON.parse(pduText(restored))).to.not.have.property('unsigned')
  })
})
