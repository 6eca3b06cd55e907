import { expect } from 'chai'
import { rulesetOf } from '../../../src/protocol/default-push-rules.js'
import { Event, type PduJson } from '../../../src/protocol/event.js'
import type { EventId, RoomId, UserId } from '../../../src/protocol/ids.js'
import { PushEvaluator, type PushContext } from '../../../src/protocol/push-evaluator.js'
import {
  NO_PUSH_RULE_CHANGES,
  parsePushRule,
  type PushRuleChanges,
} from '../../../src/protocol/push-rules.js'
import { getRoomVersionRules } from '../../../src/protocol/room-versions.js'
import type { JsonObject } from '../../../src/util/json.js'

const ALICE = '@alice:example.org' as UserId
const BOB = '@bob:example.org'
const ROOM = '!room:example.org'
const SOMEWHERE: PushContext = { memberCount: 10, displayName: 'Alice', mayNotify: () => false }

function eventOf(part: Partial<PduJson>): Event {
  const json: PduJson = {
    type: 'm.room.message',
    sender: BOB,
    room_id: ROOM,
    content: { msgtype: 'm.text', body: 'Hello' },
    origin_server_ts: 1,
    depth: 1,
    prev_events: [],
    auth_events: [],
    hashes: { sha256: '' },
    signatures: {},
    ...part,
  }
  return new Event(getRoomVersionRules('11')!, json, { eventId: '$event' as EventId, roomId: ROOM as RoomId })
}

const message = (content: JsonObject): Event =>
  eventOf({ content: { msgtype: 'm.text', body: '', ...content } })

function evaluate(
  event: Event,
  {
    changes = NO_PUSH_RULE_CHANGES,
    context = {},
  }: { changes?: PushRuleChanges; context?: Partial<PushContext> } = {},
): string {
  const outcome = new PushEvaluator(rulesetOf(ALICE, changes)).evaluate(event, { ...SOMEWHERE, ...context })
  if (outcome.highlight) return 'highlight'
  return outcome.notify ? 'notify' : 'nothing'
}

const override = (...conditions: JsonObject[]): PushRuleChanges => ({
  rules: {
    override: [
      parsePushRule('override', 'mine', {
        actions: ['notify', { set_tweak: 'highlight' }],
        conditions,
      }),
    ],
  },
  defaults: {},
})

describe('protocol/push-evaluator', () => {
  const defaults: [title: string, event: Event, outcome: string, context?: Partial<PushContext>][] = [
    ['a message', message({}), 'notify'],
    ['an encrypted event', eventOf({ type: 'm.room.encrypted', content: {} }), 'notify'],
    ['a notice', message({ msgtype: 'm.notice' }), 'nothing'],
    ['a call', eventOf({ type: 'm.call.invite', content: {} }), 'notify'],
    ['some event', eventOf({ type: 'org.example.event', content: {} }), 'nothing'],
    ['a mention', message({ 'm.mentions': { user_ids: [BOB, ALICE] } }), 'highlight'],
    ['a mention of others', message({ 'm.mentions': { user_ids: [BOB] } }), 'notify'],
    ['a mention in the body', message({ body: `Hello ${ALICE}, Alice` }), 'highlight'],
    ['a mention in the body alone', message({ body: `Hello ${ALICE}, Alice`, 'm.mentions': {} }), 'notify'],
    [
      'a mention of the room, allowed',
      message({ 'm.mentions': { room: true } }),
      'highlight',
      { mayNotify: (key) => key === 'room' },
    ],
    ['a mention of the room, not allowed', message({ 'm.mentions': { room: true } }), 'notify'],
    [
      'a mention of the room that is no boolean',
      message({ 'm.mentions': { room: 1 } }),
      'notify',
      { mayNotify: () => true },
    ],
    ['an edit', message({ 'm.relates_to': { rel_type: 'm.replace', event_id: '$a' } }), 'nothing'],
    [
      'an edit with a mention',
      message({ 'm.relates_to': { rel_type: 'm.replace' }, 'm.mentions': { user_ids: [ALICE] } }),
      'highlight',
    ],
    ['a reaction', eventOf({ type: 'm.reaction', content: {} }), 'nothing'],
    ['a tombstone', eventOf({ type: 'm.room.tombstone', state_key: '', content: {} }), 'highlight'],
    ['a tombstone that is no state', eventOf({ type: 'm.room.tombstone', content: {} }), 'nothing'],
    [
      'an invitation',
      eventOf({ type: 'm.room.member', state_key: ALICE, content: { membership: 'invite' } }),
      'notify',
    ],
    [
      'an invitation of others',
      eventOf({ type: 'm.room.member', state_key: '@eve:example.org', content: { membership: 'invite' } }),
      'nothing',
    ],
    [
      'a join',
      eventOf({ type: 'm.room.member', state_key: BOB, content: { membership: 'join' } }),
      'nothing',
    ],
  ]
  for (const [title, event, outcome, context = {}] of defaults) {
    it(`says ${outcome} for ${title}`, () => {
      expect(evaluate(event, { context })).to.equal(outcome)
    })
  }

  it('plays a sound for messages between two', () => {
    const evaluator = new PushEvaluator(rulesetOf(ALICE, NO_PUSH_RULE_CHANGES))
    const { actions } = evaluator.evaluate(message({}), { ...SOMEWHERE, memberCount: 2 })
    expect(actions).to.deep.equal(['notify', { set_tweak: 'sound', value: 'default' }])
    expect(evaluator.evaluate(message({}), SOMEWHERE).actions).to.deep.equal(['notify'])
  })

  it('says nothing at all with the master rule enabled', () => {
    const changes = { rules: {}, defaults: { '.m.rule.master': { enabled: true } } }
    expect(evaluate(message({ 'm.mentions': { user_ids: [ALICE] } }), { changes })).to.equal('nothing')
  })

  it('asks override, content, room, sender and underride rules in this order', () => {
    const highlight = ['notify', { set_tweak: 'highlight' }]
    const content = parsePushRule('content', 'c', { pattern: 'cake', actions: highlight })
    const room = parsePushRule('room', ROOM, { actions: [] })
    const sender = parsePushRule('sender', BOB, { actions: highlight })
    const changes = { rules: { content: [content], room: [room], sender: [sender] }, defaults: {} }
    expect(evaluate(message({ body: 'Cake!' }), { changes })).to.equal('highlight')
    expect(evaluate(message({ body: 'Bread' }), { changes })).to.equal('nothing')
    expect(evaluate(message({}), { changes: { rules: { sender: [sender] }, defaults: {} } })).to.equal(
      'highlight',
    )
    const disabled = { rules: { content: [{ ...content, enabled: false }], room: [room] }, defaults: {} }
    expect(evaluate(message({ body: 'Cake!' }), { changes: disabled })).to.equal('nothing')
  })

  it('looks for mentions in the text of events that do not say whom they mention', () => {
    const loud = { mayNotify: (key: string) => key === 'room' }
    expect(evaluate(message({ body: 'Hi alice!' }), { context: { displayName: 'x' } })).to.equal('highlight')
    expect(evaluate(message({ body: 'my queen' }), { context: { displayName: 'Queen' } })).to.equal(
      'highlight',
    )
    expect(evaluate(message({ body: '@room: lunch' }), { context: loud })).to.equal('highlight')
    expect(evaluate(message({ body: '@room: lunch' }))).to.equal('notify')
    expect(evaluate(message({ body: 'alice @room', 'm.mentions': {} }), { context: loud })).to.equal('notify')
  })

  it('takes historical actions for none', () => {
    const changes = { rules: {}, defaults: { '.m.rule.message': { actions: ['dont_notify', 'coalesce'] } } }
    expect(evaluate(message({}), { changes })).to.equal('nothing')
  })

  it('does not highlight with a highlight of false', () => {
    const rule = parsePushRule('room', ROOM, {
      actions: ['notify', { set_tweak: 'highlight', value: false }],
    })
    expect(evaluate(message({}), { changes: { rules: { room: [rule] }, defaults: {} } })).to.equal('notify')
  })

  const topic = (content: JsonObject): Event => eventOf({ type: 'm.room.topic', state_key: '', content })
  const conditions: [
    condition: JsonObject,
    event: Event,
    matches: boolean,
    context?: Partial<PushContext>,
  ][] = [
    [{ kind: 'event_match', key: 'content.topic', pattern: 'lunc?*' }, topic({ topic: 'LUNCH' }), true],
    [{ kind: 'event_match', key: 'content.topic', pattern: 'lunc?*' }, topic({ topic: ' lunch' }), false],
    [{ kind: 'event_match', key: 'content.topic', pattern: '*' }, topic({}), false],
    [{ kind: 'event_match', key: 'content.topic', pattern: '*' }, topic({ topic: null }), false],
    [
      { kind: 'event_match', key: 'content.body', pattern: 'ex*ple' },
      message({ body: 'An example event.' }),
      true,
    ],
    [{ kind: 'event_match', key: 'content.toString', pattern: '*' }, topic({}), false],
    [{ kind: 'event_match', key: 'room_id', pattern: ROOM }, message({}), true],
    [{ kind: 'event_match', key: 'content.body' }, message({}), false],
    [
      { kind: 'event_property_is', key: 'content.m\\.federate', value: true },
      topic({ 'm.federate': true }),
      true,
    ],
    [
      { kind: 'event_property_is', key: 'content.m\\.federate', value: true },
      topic({ 'm.federate': 'true' }),
      false,
    ],
    [
      { kind: 'event_property_is', key: 'content.m\\.federate', value: true },
      topic({ 'm.federate': 1 }),
      false,
    ],
    [{ kind: 'event_property_is', key: 'content.a\\\\b', value: null }, topic({ 'a\\b': null }), true],
    [{ kind: 'event_property_is', key: 'content.a', value: null }, topic({}), false],
    [{ kind: 'event_property_is', key: 'content.a', value: {} }, topic({ a: {} }), false],
    [{ kind: 'event_property_contains', key: 'content.a', value: '#b' }, topic({ a: ['#a', '#b'] }), true],
    [{ kind: 'event_property_contains', key: 'content.a', value: 'b' }, topic({ a: ['#a', '#b'] }), false],
    [{ kind: 'event_property_contains', key: 'content.a', value: 'b' }, topic({ a: 'b' }), false],
    [{ kind: 'contains_display_name' }, message({ body: 'Hi alice!' }), true],
    [{ kind: 'contains_display_name' }, message({ body: 'Hi alices!' }), false],
    [{ kind: 'contains_display_name' }, message({ body: 'anything' }), false, { displayName: '*' }],
    [{ kind: 'contains_display_name' }, message({ body: 'I am *.' }), true, { displayName: '*' }],
    [{ kind: 'contains_display_name' }, message({ body: '' }), false, { displayName: '' }],
    [{ kind: 'room_member_count', is: '10' }, message({}), true],
    [{ kind: 'room_member_count', is: '==10' }, message({}), true],
    [{ kind: 'room_member_count', is: '>=10' }, message({}), true],
    [{ kind: 'room_member_count', is: '<=10' }, message({}), true],
    [{ kind: 'room_member_count', is: '<10' }, message({}), false],
    [{ kind: 'room_member_count', is: '>10' }, message({}), false],
    [{ kind: 'room_member_count', is: '>9' }, message({}), true],
    [{ kind: 'room_member_count', is: '<11' }, message({}), true],
    [{ kind: 'room_member_count', is: '!=3' }, message({}), false],
    [{ kind: 'room_member_count' }, message({}), false],
    [{ kind: 'sender_notification_permission', key: 'room' }, message({}), true, { mayNotify: () => true }],
    [{ kind: 'sender_notification_permission', key: 'room' }, message({}), false],
    [{ kind: 'org.example.unheard_of' }, message({}), false],
    [{ kind: 'toString' }, message({}), false],
  ]
  for (const [condition, event, matches, context = {}] of conditions) {
    it(`${JSON.stringify(condition)} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(event.content)}`, () => {
      const highlights = evaluate(event, { changes: override(condition), context }) === 'highlight'
      expect(highlights).to.equal(matches)
    })
  }

  it('wants all conditions of a rule to hold', () => {
    const [first, second] = [
      { kind: 'room_member_count', is: '10' },
      { kind: 'room_member_count', is: '11' },
    ]
    expect(evaluate(message({}), { changes: override(first, second) })).to.equal('notify')
    expect(evaluate(message({}), { changes: override() })).to.equal('highlight')
  })
})
