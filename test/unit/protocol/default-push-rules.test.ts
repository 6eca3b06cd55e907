import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import {
  isDefaultRule,
  rulesetOf,
  TEXT_MENTION_RULES,
  type DefaultRuleChoice,
} from '../../../src/protocol/default-push-rules.js'
import type { UserId } from '../../../src/protocol/ids.js'
import {
  NO_PUSH_RULE_CHANGES,
  parsePushRule,
  PUSH_RULE_KINDS,
  type PushRule,
  type PushRuleset,
} from '../../../src/protocol/push-rules.js'

const ALICE = '@alice:example.org' as UserId

/** The predefined rules as the text of version 1.19 of the specification defines them, in its order. */
function specifiedRules(userId: UserId): PushRuleset {
  const file = new URL('../../conformance/fixtures/default-push-rules.json', import.meta.url)
  const text = readFileSync(file, 'utf8').replaceAll("[the user's Matrix ID]", userId)
  return JSON.parse(text) as PushRuleset
}

function rulesBy(choice: DefaultRuleChoice): PushRuleset {
  return rulesetOf(ALICE, NO_PUSH_RULE_CHANGES, choice)
}

function idsOf(rules: readonly PushRule[]): string[] {
  return rules.map((rule) => rule.rule_id)
}

describe('protocol/default-push-rules', () => {
  it('are those of the specification, exactly, where nothing else is chosen', () => {
    expect(rulesBy({ textMentions: false, polls: false })).to.deep.equal(specifiedRules(ALICE))
  })

  it('stand in the order of the specification among those that are added', () => {
    const all = rulesBy({ textMentions: true, polls: true })
    const specified = specifiedRules(ALICE)
    for (const kind of PUSH_RULE_KINDS) {
      const rules = specified[kind] ?? []
      const ids = new Set(idsOf(rules))
      expect((all[kind] ?? []).filter((rule) => ids.has(rule.rule_id))).to.deep.equal(rules)
    }
  })

  it('look for names in texts next to the rules that took their place', () => {
    const { override, content } = rulesBy({ textMentions: true, polls: false })
    expect(idsOf(override).slice(4, 8)).to.deep.equal([
      '.m.rule.is_user_mention',
      '.m.rule.contains_display_name',
      '.m.rule.is_room_mention',
      '.m.rule.roomnotif',
    ])
    expect(content.map((rule) => [rule.rule_id, rule.pattern])).to.deep.equal([
      ['.m.rule.contains_user_name', 'alice'],
    ])
    const without = rulesBy({ textMentions: false, polls: false })
    expect([...idsOf(override), ...idsOf(content)].filter((id) => TEXT_MENTION_RULES.has(id))).to.have.length(
      3,
    )
    expect([...idsOf(without.override), ...idsOf(without.content)]).not.to.include.any.members([
      ...TEXT_MENTION_RULES,
    ])
  })

  it('tell of polls between two louder than of others, and not of votes', () => {
    const { override, underride } = rulesBy({ textMentions: false, polls: true })
    expect(override.at(-1)).to.deep.equal({
      rule_id: '.org.matrix.msc3930.rule.poll_response',
      default: true,
      enabled: true,
      conditions: [{ kind: 'event_match', key: 'type', pattern: 'org.matrix.msc3381.poll.response' }],
      actions: [],
    })
    expect(idsOf(underride).slice(-4)).to.deep.equal([
      '.org.matrix.msc3930.rule.poll_start_one_to_one',
      '.org.matrix.msc3930.rule.poll_start',
      '.org.matrix.msc3930.rule.poll_end_one_to_one',
      '.org.matrix.msc3930.rule.poll_end',
    ])
    const [alone, others] = underride.slice(-4)
    expect(alone?.actions).to.deep.equal(['notify', { set_tweak: 'sound', value: 'default' }])
    expect(others?.actions).to.deep.equal(['notify'])
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
    const poll = '.org.matrix.msc3930.rule.poll_end'
    expect(isDefaultRule('underride', poll, { textMentions: true, polls: true })).to.equal(true)
    expect(isDefaultRule('underride', poll)).to.equal(false)
  })
})
