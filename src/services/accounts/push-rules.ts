import {
  isDefaultRule,
  rulesetOf,
  USUAL_DEFAULT_RULES,
  type DefaultRuleChoice,
} from '../../protocol/default-push-rules.js'
import { MatrixError, notFound, tooLarge } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import { PushEvaluator } from '../../protocol/push-evaluator.js'
import {
  NO_PUSH_RULE_CHANGES,
  parsePushActions,
  parsePushRule,
  type DefaultRuleChange,
  type PushRule,
  type PushRuleChanges,
  type PushRuleKind,
  type PushRuleset,
} from '../../protocol/push-rules.js'
import type { Database, Query } from '../../storage/database.js'
import type { PushRulesStore } from '../../storage/stores/push-rules.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { JsonObject, JsonValue } from '../../util/json.js'
import type { PositionSink } from '../streams/notifier.js'

export interface PushRulesDependencies {
  readonly db: Database
  readonly pushRules: PushRulesStore
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  readonly positions: PositionSink
  readonly defaultRules?: DefaultRuleChoice
}

/** Where a new rule goes among the user's own of its kind: next to another of them. */
export interface RulePlace {
  readonly before?: string | undefined
  readonly after?: string | undefined
}

/** Which rule. */
export interface RuleName {
  readonly kind: PushRuleKind
  readonly ruleId: string
}

/** What a user may keep of changes: every message of their rooms is held against all of them. */
const MAX_CHANGES_BYTES = 256 * 1024

/**
 * The push rules of users: the server's defaults with each user's changes.
 * https://spec.matrix.org/latest/client-server-api/#push-rules-api
 */
export class PushRules {
  readonly #deps: PushRulesDependencies
  /** Compiled rules, for as long as the changes they are made of are remembered. */
  readonly #evaluators = new WeakMap<PushRuleChanges, PushEvaluator>()

  readonly #choice: DefaultRuleChoice

  constructor(deps: PushRulesDependencies) {
    this.#deps = deps
    this.#choice = deps.defaultRules ?? USUAL_DEFAULT_RULES
  }

  /** The content of `m.push_rules`. */
  async get(userId: UserId, q: Query = this.#deps.db.reader): Promise<JsonObject> {
    const ruleset = await this.#rulesetOf(q, userId)
    return { global: ruleset as unknown as JsonObject }
  }

  /** Whether the rules changed after a position of the stream `push_rules`, up to another. */
  changedBetween(q: Query, userId: UserId, range: { from: number; to: number }): Promise<boolean> {
    return this.#deps.pushRules.changedBetween(q, userId, range)
  }

  /**
   * The compiled rules of those of the users who have changed theirs; the others have the default rules.
   */
  async evaluatorsOfChanged(
    userIds: readonly UserId[],
    q: Query = this.#deps.db.reader,
  ): Promise<Map<UserId, PushEvaluator>> {
    const stored = await this.#deps.pushRules.getMany(q, userIds)
    const evaluators = new Map<UserId, PushEvaluator>()
    for (const [userId, changes] of stored) {
      if (changes === NO_PUSH_RULE_CHANGES) continue
      let evaluator = this.#evaluators.get(changes)
      if (!evaluator) {
        evaluator = new PushEvaluator(rulesetOf(userId, changes, this.#choice))
        this.#evaluators.set(changes, evaluator)
      }
      evaluators.set(userId, evaluator)
    }
    return evaluators
  }

  /** The compiled rules of those who have changed nothing. */
  defaultEvaluator(userId: UserId): PushEvaluator {
    return new PushEvaluator(rulesetOf(userId, NO_PUSH_RULE_CHANGES, this.#choice))
  }

  /** All rules of a kind, the most important first. */
  async listKind(userId: UserId, kind: PushRuleKind): Promise<readonly PushRule[]> {
    return (await this.#rulesetOf(this.#deps.db.reader, userId))[kind] ?? []
  }

  /** One rule. Throws `M_NOT_FOUND`. */
  async getRule(userId: UserId, { kind, ruleId }: RuleName): Promise<PushRule> {
    const ruleset = await this.#rulesetOf(this.#deps.db.reader, userId)
    const rule = (ruleset[kind] ?? []).find((candidate) => candidate.rule_id === ruleId)
    if (!rule) throw notFound('The push rule was not found')
    return rule
  }

  /**
   * Adds or replaces a rule of the user's own. A new one becomes the most important of its kind, one that is there
   * keeps its place, unless `place` says otherwise; and it stays disabled if it was.
   *
   * @throws `M_INVALID_PARAM`, `M_MISSING_PARAM`, `M_BAD_JSON`, `M_TOO_LARGE`; 400 `M_UNKNOWN` when the rule to be next
   *   to is not there
   */
  async putRule(
    userId: UserId,
    name: RuleName,
    { body, place }: { body: JsonObject; place: RulePlace },
  ): Promise<void> {
    const { kind, ruleId } = name
    const parsed = parsePushRule(kind, ruleId, body)
    await this.#change(userId, (changes) => {
      const rules = changes.rules[kind] ?? []
      const old = rules.find((rule) => rule.rule_id === ruleId)
      const rule = old ? { ...parsed, enabled: old.enabled } : parsed
      return withRules(changes, kind, placed(rules, rule, place))
    })
  }

  /** Deletes a rule of the user's own. Throws `M_NOT_FOUND`. */
  async deleteRule(userId: UserId, { kind, ruleId }: RuleName): Promise<void> {
    await this.#change(userId, (changes) => {
      const rules = changes.rules[kind] ?? []
      const kept = rules.filter((rule) => rule.rule_id !== ruleId)
      if (kept.length === rules.length) throw notFound('The push rule was not found')
      return withRules(changes, kind, kept)
    })
  }

  /** Throws `M_NOT_FOUND`. */
  async setEnabled(userId: UserId, name: RuleName, enabled: boolean): Promise<void> {
    await this.#changeRule(userId, name, { enabled })
  }

  /** Throws `M_NOT_FOUND`, `M_BAD_JSON`, `M_MISSING_PARAM`. */
  async setActions(userId: UserId, name: RuleName, actions: JsonValue | undefined): Promise<void> {
    await this.#changeRule(userId, name, { actions: parsePushActions(actions) })
  }

  async #rulesetOf(q: Query, userId: UserId): Promise<PushRuleset> {
    return rulesetOf(userId, await this.#deps.pushRules.get(q, userId), this.#choice)
  }

  async #changeRule(userId: UserId, { kind, ruleId }: RuleName, change: DefaultRuleChange): Promise<void> {
    await this.#change(userId, (changes) => {
      if (isDefaultRule(kind, ruleId, this.#choice)) {
        const changed = { ...changes.defaults[ruleId], ...change }
        return { ...changes, defaults: { ...changes.defaults, [ruleId]: changed } }
      }
      const rules = changes.rules[kind] ?? []
      if (!rules.some((rule) => rule.rule_id === ruleId)) throw notFound('The push rule was not found')
      return withRules(
        changes,
        kind,
        rules.map((rule) => (rule.rule_id === ruleId ? { ...rule, ...change } : rule)),
      )
    })
  }

  async #change(userId: UserId, change: (changes: PushRuleChanges) => PushRuleChanges): Promise<void> {
    const { db, pushRules, streamIds, positions } = this.#deps
    await db.write('change_push_rules', async (tx) => {
      const before = await pushRules.get(tx, userId)
      const changes = change(before)
      const size = sizeOf(changes)
      // Who has come with more than that must still be able to take some away.
      if (size > MAX_CHANGES_BYTES && size > sizeOf(before)) throw tooLarge('Too many push rules')
      const [streamId] = await streamIds.allocate(tx, 1)
      if (streamId === undefined) throw new Error('No position of the push rules stream was allocated')
      await pushRules.put(tx, userId, changes, streamId)
      tx.afterCommit(() => positions.onNewPosition('push_rules', { users: [userId] }))
    })
  }
}

function sizeOf(changes: PushRuleChanges): number {
  return Buffer.byteLength(JSON.stringify(changes))
}

function withRules(
  changes: PushRuleChanges,
  kind: PushRuleKind,
  rules: readonly PushRule[],
): PushRuleChanges {
  return { ...changes, rules: { ...changes.rules, [kind]: rules } }
}

/** The rules with one put in its place; the most important is the first. `before` counts where both are given. */
function placed(rules: readonly PushRule[], rule: PushRule, { before, after }: RulePlace): PushRule[] {
  const others = rules.filter((other) => other.rule_id !== rule.rule_id)
  const neighbour = before ?? after
  if (neighbour === undefined) {
    return others.length === rules.length
      ? [rule, ...rules]
      : rules.map((old) => (old.rule_id === rule.rule_id ? rule : old))
  }
  const index = others.findIndex((other) => other.rule_id === neighbour)
  if (index === -1)
    throw new MatrixError('M_UNKNOWN', `before/after rule not found: ${neighbour}`, { status: 400 })
  return others.toSpliced(before === undefined ? index + 1 : index, 0, rule)
}
