import { expect } from 'chai'
import type { MatrixError } from '../../../src/protocol/errors.js'
import { parsePushActions, parsePushRule, type PushRuleKind } from '../../../src/protocol/push-rules.js'
import type { JsonObject, JsonValue } from '../../../src/util/json.js'

function errcodeOf(fn: () => unknown): string {
  try {
    fn()
  } catch (error) {
    return (error as MatrixError).errcode
  }
  return 'none'
}

describe('protocol/push-rules', () => {
  it('keeps actions that mean nothing any more', () => {
    const actions = ['dont_notify', 'notify', 'coalesce', { set_tweak: 'sound' }]
    expect(parsePushActions(actions)).to.deep.equal(actions)
  })

  const badActions: [title: string, value: JsonValue | undefined, errcode: string][] = [
    ['nothing', undefined, 'M_MISSING_PARAM'],
    ['null', null, 'M_BAD_JSON'],
    ['a string', 'notify', 'M_BAD_JSON'],
    ['numbers', [1], 'M_BAD_JSON'],
    ['words that mean nothing', ['notify', 'notfy'], 'M_BAD_JSON'],
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
