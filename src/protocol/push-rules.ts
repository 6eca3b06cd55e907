import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { badJson, invalidParam, missingParam } from './errors.js'

/**
 * In the order in which rules are checked. https://spec.matrix.org/latest/client-server-api/#push-rules
 * Of `postcontent` there are none but the server's own.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4306
 */
export const PUSH_RULE_KINDS = ['override', 'content', 'postcontent', 'room', 'sender', 'underride'] as const
export type PushRuleKind = (typeof PUSH_RULE_KINDS)[number]

/** A rule as clients see it: most important first within its kind. */
export interface PushRule {
  readonly rule_id: string
  readonly default: boolean
  readonly enabled: boolean
  readonly actions: readonly JsonValue[]
  /** Of override, postcontent and underride rules. */
  readonly conditions?: readonly JsonObject[]
  /** Of content rules. */
  readonly pattern?: string
}

/** `postcontent` is there only where the server has such rules. */
export type PushRuleset = Readonly<Record<Exclude<PushRuleKind, 'postcontent'>, readonly PushRule[]>> & {
  readonly postcontent?: readonly PushRule[]
}

/** What a user has changed: rules of their own, and settings of the server's default rules by rule ID. */
export interface PushRuleChanges {
  readonly rules: Readonly<Partial<Record<PushRuleKind, readonly PushRule[]>>>
  readonly defaults: Readonly<Record<string, DefaultRuleChange>>
}

export interface DefaultRuleChange {
  readonly enabled?: boolean
  readonly actions?: readonly JsonValue[]
}

export const NO_PUSH_RULE_CHANGES: PushRuleChanges = { rules: {}, defaults: {} }

const ACTIONS: readonly string[] = ['notify', 'dont_notify', 'coalesce']

/**
 * The actions of a request. `dont_notify` and `coalesce`, which mean nothing any more, are kept: clients that still set
 * them look for what they have set. https://spec.matrix.org/latest/client-server-api/#historical-actions
 *
 * @throws `M_BAD_JSON`, `M_MISSING_PARAM`
 */
export function parsePushActions(value: JsonValue | undefined): JsonValue[] {
  if (value === undefined) throw missingParam('actions')
  if (!Array.isArray(value)) throw badJson('actions must be an array')
  for (const action of value) {
    if (!isAction(action)) throw badJson(`An action is ${ACTIONS.join(', ')} or an object with set_tweak`)
  }
  return value
}

function isAction(value: JsonValue): boolean {
  if (isJsonObject(value)) return typeof value['set_tweak'] === 'string'
  return typeof value === 'string' && ACTIONS.includes(value)
}

/**
 * A rule of a user's own out of a request's body; enabled.
 * https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
 *
 * @throws `M_INVALID_PARAM` for a rule ID that may not be, `M_BAD_JSON`, `M_MISSING_PARAM`
 */
export function parsePushRule(kind: PushRuleKind, ruleId: string, body: JsonObject): PushRule {
  if (ruleId.startsWith('.')) throw invalidParam('Rule IDs that start with a dot are those of the server')
  if (ruleId === '' || /[/\\]/.test(ruleId)) throw invalidParam('A rule ID has no slashes and is not empty')
  const rule = { rule_id: ruleId, default: false, enabled: true, actions: parsePushActions(body['actions']) }
  switch (kind) {
    case 'override':
    case 'underride':
      return { ...rule, conditions: parseConditions(body['conditions']) }
    case 'postcontent':
      throw invalidParam('There are no rules of this kind but those of the server')
    case 'content':
      return { ...rule, pattern: parsePattern(body['pattern']) }
    default:
      return rule
  }
}

function parseConditions(value: JsonValue | undefined): JsonObject[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw badJson('conditions must be an array')
  return value.map((condition) => {
    if (!isJsonObject(condition)) throw badJson('A condition is an object')
    if (typeof condition['kind'] !== 'string') throw badJson('A condition has a kind')
    return condition
  })
}

function parsePattern(value: JsonValue | undefined): string {
  if (value === undefined) throw missingParam('pattern')
  if (typeof value !== 'string') throw badJson('pattern must be a string')
  return value
}
