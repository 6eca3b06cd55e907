import { expect } from 'chai'
import type { MatrixError } from '../../../src/protocol/errors.js'
import type { UserId } from '../../../src/protocol/ids.js'
import {
  isDefaultRule,
  NO_PUSH_RULE_CHANGES,
  parsePushActions,
  parsePushRule,
  rulesetOf,
  type PushRuleKind,
} from '../../../src/protocol/push-rules.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'

const ALICE = '@alice:example.org' as UserId

function errcodeOf(fn: () => unknown): string {
  try {
    fn()
  } catch (error) {
    return (error as MatrixError).errcode
  }
  return 'none'
}

describe('protocol/push-rules', () => {
  it('has the default rules of the specification in their order', () => {
    const ruleset = rulesetOf(ALICE, NO_PUSH_RULE_CHANGES)
    expect(ruleset.override.map((rule) => rule.rule_id)).to.deep.equal([
      '.m.rule.master',
      '.m.rule.suppress_notices',
      '.m.rule.invite_for_me',
      '.m.rule.member_event',
      '.m.rule.is_user_mention',
      '.m.rule.contains_display_name',
      '.m.rule.is_room_mention',
      '.m.rule.roomnotif',
      '.m.rule.tombstone',
      '.m.rule.reaction',
      '.m.rule.room.server_acl',
      '.m.rule.suppress_edits',
    ])
    expect(ruleset.underride.map((rule) => rule.rule_id)).to.deep.equal([
      '.m.rule.call',
      '.m.rule.encrypted_room_one_to_one',
      '.m.rule.room_one_to_one',
      '.m.rule.message',
      '.m.rule.encrypted',
    ])
    expect(ruleset.content.map((rule) => [rule.rule_id, rule.pattern])).to.deep.equal([
      ['.m.rule.contains_user_name', 'alice'],
    ])
    expect([...ruleset.room, ...ruleset.sender]).to.deep.equal([])
    expect(ruleset.override[0]).to.deep.equal({
      rule_id: '.m.rule.master',
      default: true,
      enabled: false,
      conditions: [],
      actions: [],
    })
  })

  it('names the user in the rules that are about them', () => {
    const { override } = rulesetOf(ALICE, NO_PUSH_RULE_CHANGES)
    const conditions = override.flatMap((rule) => rule.conditions ?? [])
    expect(conditions).to.deep.include({ kind: 'event_match', key: 'state_key', pattern: ALICE })
    expect(conditions).to.deep.include({
      kind: 'event_property_contains',
      key: 'content.m\\.mentions.user_ids',
      value: ALICE,
    })
  })

  it("puts a user's rules above the defaults and below the master rule", () => {
    const own = parsePushRule('override', 'mine', { actions: [] })
    const { override } = rulesetOf(ALICE, { rules: { override: [own] }, defaults: {} })
    expect(override.slice(0, 3).map((rule) => rule.rule_id)).to.deep.equal([
      '.m.rule.master',
      'mine',
      '.m.rule.suppress_notices',
    ])
  })

  it('applies changes to default rules', () => {
    const { underride } = rulesetOf(ALICE, {
      rules: {},
      defaults: { '.m.rule.message': { enabled: false, actions: ['notify', { set_tweak: 'highlight' }] } },
    })
    const message = underride.find((rule) => rule.rule_id === '.m.rule.message')
    expect(message?.enabled).to.equal(false)
    expect(message?.actions).to.deep.equal(['notify', { set_tweak: 'highlight' }])
  })

  it('knows which rules are defaults', () => {
    expect(isDefaultRule('override', '.m.rule.master')).to.equal(true)
    expect(isDefaultRule('underride', '.m.rule.master')).to.equal(false)
    expect(isDefaultRule('override', 'mine')).to.equal(false)
  })

  it('keeps actions that mean nothing any more', () => {
    const actions = ['dont_notify', 'notify', 'coalesce', { set_tweak: 'sound' }]
    expect(parsePushActions(actions)).to.deep.equal(actions)
  })

  const badActions: [title: string, value: JsonValue | undefined, errcode: string][] = [
    ['nothing', undefined, 'M_MISSING_PARAM'],
    ['null', null, 'M_BAD_JSON'],
    ['a string', 'notify', 'M_BAD_JSON'],
    ['numbers', [1], 'M_BAD_JSON'],
    ['objects without set_tweak', [{ sound: 'default' }], 'M_BAD_JSON'],
  ]
  for (const [title, value, errcode] of badActions) {
    it(`refuses ${title} for actions`, () => {
      expect(errcodeOf(() => parsePushActions(value))).to.equal(errcode)
    })
  }

  const badRules: [kind: PushRuleKind, ruleId: string, body: JsonObject, errcode: string][] = [
    ['override', '.m.rule.mine', { actions: [] }, 'M_INVALID_PARAM'],
    ['override', 'a/b', { actions: [] }, 'M_INVALID_PARAM'],
    ['override', 'a\\b', { actions: [] }, 'M_INVALID_PARAM'],
    ['override', '', { actions: [] }, 'M_INVALID_PARAM'],
    ['override', 'a', {}, 'M_MISSING_PARAM'],
    ['underride', 'a', { actions: [], conditions: {} }, 'M_BAD_JSON'],
    ['underride', 'a', { actions: [], conditions: [{}] }, 'M_BAD_JSON'],
    ['content', 'a', { actions: [] }, 'M_MISSING_PARAM'],
    ['content', 'a', { actions: [], pattern: 1 }, 'M_BAD_JSON'],
  ]
  for (const [kind, ruleId, body, errcode] of badRules) {
    it(`refuses ${kind} rule "${ruleId}" ${JSON.stringify(body)}`, () => {
      expect(errcodeOf(() => parsePushRule(kind, ruleId, body))).to.equal(errcode)
    })
  }

  it('keeps what belongs to the kind of rule', () => {
    const body = { actions: ['notify'], pattern: 'cake', conditions: [{ kind: 'unheard_of', x: 1 }], more: 1 }
    expect(parsePushRule('content', 'a', body)).to.deep.equal({
      rule_id: 'a',
      default: false,
      enabled: true,
      actions: ['notify'],
      pattern: 'cake',
    })
    expect(parsePushRule('override', 'a', body).conditions).to.deep.equal([{ kind: 'unheard_of', x: 1 }])
    expect(parsePushRule('room', '!room:example.org', body)).to.have.all.keys(
      'rule_id',
      'default',
      'enabled',
      'actions',
    )
  })
})
