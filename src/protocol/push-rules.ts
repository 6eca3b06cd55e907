import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { badJson, invalidParam, missingParam } from './errors.js'
import { localpartOf, type UserId } from './ids.js'

/** In the order in which rules are checked. https://spec.matrix.org/latest/client-server-api/#push-rules */
export const PUSH_RULE_KINDS = ['override', 'content', 'room', 'sender', 'underride'] as const
export type PushRuleKind = (typeof PUSH_RULE_KINDS)[number]

/** A rule as clients see it: most important first within its kind. */
export interface PushRule {
  readonly rule_id: string
  readonly default: boolean
  readonly enabled: boolean
  readonly actions: readonly JsonValue[]
  /** Of override and underride rules. */
  readonly conditions?: readonly JsonObject[]
  /** Of content rules. */
  readonly pattern?: string
}

export type PushRuleset = Readonly<Record<PushRuleKind, readonly PushRule[]>>

/** What a user has changed: rules of their own, and settings of the server's default rules by rule ID. */
export interface PushRuleChanges {
  readonly rules: Readonly<Partial<Record<PushRuleKind, readonly PushRule[]>>>
  readonly defaults: Readonly<Record<string, DefaultRuleChange>>
}

export interface DefaultRuleChange {
  readonly enabled?: boolean
  readonly actions?: readonly JsonValue[]
}

/**
 * Default rules that look for mentions in the text. They are not for events that say themselves whom they mention, in
 * `m.mentions`. https://spec.matrix.org/v1.16/client-server-api/#default-override-rules
 */
export const TEXT_MENTION_RULES: ReadonlySet<string> = new Set([
  '.m.rule.contains_display_name',
  '.m.rule.roomnotif',
  '.m.rule.contains_user_name',
])

export const NO_PUSH_RULE_CHANGES: PushRuleChanges = { rules: {}, defaults: {} }

/** The rules of a user: their own above the server's, but for the master rule, which is above all. */
export function rulesetOf(userId: UserId, changes: PushRuleChanges): PushRuleset {
  const defaults = defaultRules(userId)
  const withChanges = (kind: PushRuleKind): PushRule[] =>
    defaults[kind].map((rule) => ({ ...rule, ...changes.defaults[rule.rule_id] }))
  const [master, ...override] = withChanges('override')
  return {
    override: [...(master ? [master] : []), ...(changes.rules.override ?? []), ...override],
    content: [...(changes.rules.content ?? []), ...withChanges('content')],
    room: [...(changes.rules.room ?? []), ...withChanges('room')],
    sender: [...(changes.rules.sender ?? []), ...withChanges('sender')],
    underride: [...(changes.rules.underride ?? []), ...withChanges('underride')],
  }
}

/** Whether a kind has a default rule of this ID. */
export function isDefaultRule(kind: PushRuleKind, ruleId: string): boolean {
  return defaultRules('' as UserId)[kind].some((rule) => rule.rule_id === ruleId)
}

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
    if (typeof action !== 'string' && !(isJsonObject(action) && typeof action['set_tweak'] === 'string')) {
      throw badJson('An action is a string or an object with set_tweak')
    }
  }
  return value
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

const match = (key: string, pattern: string): JsonObject => ({ kind: 'event_match', key, pattern })
const memberCount = (is: string): JsonObject => ({ kind: 'room_member_count', is })
const SOUND = { set_tweak: 'sound', value: 'default' }
const HIGHLIGHT = { set_tweak: 'highlight' }

/** The specification's predefined rules. https://spec.matrix.org/latest/client-server-api/#predefined-rules */
function defaultRules(userId: UserId): PushRuleset {
  return {
    override: [
      { ...rule('.m.rule.master', [], []), enabled: false },
      rule('.m.rule.suppress_notices', [match('content.msgtype', 'm.notice')], []),
      rule(
        '.m.rule.invite_for_me',
        [match('type', 'm.room.member'), match('content.membership', 'invite'), match('state_key', userId)],
        ['notify', SOUND],
      ),
      rule('.m.rule.member_event', [match('type', 'm.room.member')], []),
      rule(
        '.m.rule.is_user_mention',
        [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value: userId }],
        ['notify', SOUND, HIGHLIGHT],
      ),
      rule(
        '.m.rule.contains_display_name',
        [{ kind: 'contains_display_name' }],
        ['notify', SOUND, HIGHLIGHT],
      ),
      rule(
        '.m.rule.is_room_mention',
        [
          { kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true },
          { kind: 'sender_notification_permission', key: 'room' },
        ],
        ['notify', HIGHLIGHT],
      ),
      rule(
        '.m.rule.roomnotif',
        [match('content.body', '@room'), { kind: 'sender_notification_permission', key: 'room' }],
        ['notify', HIGHLIGHT],
      ),
      rule(
        '.m.rule.tombstone',
        [match('type', 'm.room.tombstone'), match('state_key', '')],
        ['notify', HIGHLIGHT],
      ),
      rule('.m.rule.reaction', [match('type', 'm.reaction')], []),
      rule('.m.rule.room.server_acl', [match('type', 'm.room.server_acl'), match('state_key', '')], []),
      rule(
        '.m.rule.suppress_edits',
        [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
        [],
      ),
    ],
    content: [
      {
        rule_id: '.m.rule.contains_user_name',
        default: true,
        enabled: true,
        actions: ['notify', SOUND, HIGHLIGHT],
        pattern: localpartOf(userId),
      },
    ],
    room: [],
    sender: [],
    underride: [
      rule(
        '.m.rule.call',
        [match('type', 'm.call.invite')],
        ['notify', { set_tweak: 'sound', value: 'ring' }],
      ),
      rule(
        '.m.rule.encrypted_room_one_to_one',
        [memberCount('2'), match('type', 'm.room.encrypted')],
        ['notify', SOUND],
      ),
      rule('.m.rule.room_one_to_one', [memberCount('2'), match('type', 'm.room.message')], ['notify', SOUND]),
      rule('.m.rule.message', [match('type', 'm.room.message')], ['notify']),
      rule('.m.rule.encrypted', [match('type', 'm.room.encrypted')], ['notify']),
    ],
  }
}

function rule(ruleId: string, conditions: readonly JsonObject[], actions: readonly JsonValue[]): PushRule {
  return { rule_id: ruleId, default: true, enabled: true, conditions, actions }
}
