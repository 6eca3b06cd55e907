import type { JsonObject, JsonValue } from '../util/json.js'
import { localpartOf, type UserId } from './ids.js'
import type { PushRule, PushRuleChanges, PushRuleKind, PushRuleset } from './push-rules.js'

/** Which rules a server gives its users besides the specification's. */
export interface DefaultRuleChoice {
  /** Those that look for names in texts; 1.17 took them out of the specification. */
  readonly textMentions: boolean
  /** Those for polls. https://github.com/matrix-org/matrix-spec-proposals/pull/3930 */
  readonly polls: boolean
  /** Those for subscriptions to threads. https://github.com/matrix-org/matrix-spec-proposals/pull/4306 */
  readonly threadSubscriptions?: boolean
}

/**
 * Many bots, bridges and older clients do not say whom they mention, and those who are mentioned would not notice: the
 * rules that look for names stay until they are switched off.
 */
export const USUAL_DEFAULT_RULES: DefaultRuleChoice = { textMentions: true, polls: false }

/**
 * Default rules that look for mentions in the text. They are not for events that say themselves whom they mention, in
 * `m.mentions`. https://spec.matrix.org/v1.16/client-server-api/#default-override-rules
 */
export const TEXT_MENTION_RULES: ReadonlySet<string> = new Set([
  '.m.rule.contains_display_name',
  '.m.rule.roomnotif',
  '.m.rule.contains_user_name',
])

/** The kind of condition that asks whether somebody has subscribed to a thread, as it is called until it is specified. */
export const THREAD_SUBSCRIPTION = 'io.element.msc4306.thread_subscription'

/** What polls are called until they are specified. */
export const POLL_TYPES = {
  start: 'org.matrix.msc3381.poll.start',
  response: 'org.matrix.msc3381.poll.response',
  end: 'org.matrix.msc3381.poll.end',
} as const

/** The rules of a user: their own above the server's, but for the master rule, which is above all. */
export function rulesetOf(
  userId: UserId,
  changes: PushRuleChanges,
  choice: DefaultRuleChoice = USUAL_DEFAULT_RULES,
): PushRuleset {
  const defaults = defaultRules(userId, choice)
  const withChanges = (kind: PushRuleKind): PushRule[] =>
    (defaults[kind] ?? []).map((rule) => ({ ...rule, ...changes.defaults[rule.rule_id] }))
  const [master, ...override] = withChanges('override')
  return {
    override: [...(master ? [master] : []), ...(changes.rules.override ?? []), ...override],
    content: [...(changes.rules.content ?? []), ...withChanges('content')],
    ...(defaults.postcontent && { postcontent: withChanges('postcontent') }),
    room: [...(changes.rules.room ?? []), ...withChanges('room')],
    sender: [...(changes.rules.sender ?? []), ...withChanges('sender')],
    underride: [...(changes.rules.underride ?? []), ...withChanges('underride')],
  }
}

/** Whether a kind has a default rule of this ID. */
export function isDefaultRule(
  kind: PushRuleKind,
  ruleId: string,
  choice: DefaultRuleChoice = USUAL_DEFAULT_RULES,
): boolean {
  const rules = defaultRules('' as UserId, choice)[kind] ?? []
  return rules.some((rule) => rule.rule_id === ruleId)
}

/** The specification's predefined rules. https://spec.matrix.org/latest/client-server-api/#predefined-rules */
function defaultRules(
  userId: UserId,
  { textMentions, polls, threadSubscriptions }: DefaultRuleChoice,
): PushRuleset {
  const override = [...overrideRules(userId), ...(polls ? POLL_OVERRIDES : [])]
  return {
    override: textMentions ? override : override.filter((rule) => !TEXT_MENTION_RULES.has(rule.rule_id)),
    content: textMentions ? [containsUserName(userId)] : [],
    ...(threadSubscriptions && { postcontent: POSTCONTENTS }),
    room: [],
    sender: [],
    underride: [...UNDERRIDES, ...(polls ? POLL_UNDERRIDES : [])],
  }
}

const match = (key: string, pattern: string): JsonObject => ({ kind: 'event_match', key, pattern })
const memberCount = (is: string): JsonObject => ({ kind: 'room_member_count', is })
const SOUND = { set_tweak: 'sound', value: 'default' }
const HIGHLIGHT = { set_tweak: 'highlight' }

function overrideRules(userId: UserId): PushRule[] {
  return [
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
    rule('.m.rule.contains_display_name', [{ kind: 'contains_display_name' }], ['notify', SOUND, HIGHLIGHT]),
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
  ]
}

function containsUserName(userId: UserId): PushRule {
  return {
    rule_id: '.m.rule.contains_user_name',
    default: true,
    enabled: true,
    actions: ['notify', SOUND, HIGHLIGHT],
    pattern: localpartOf(userId),
  }
}

const threadSubscription = (subscribed: boolean): JsonObject => ({ kind: THREAD_SUBSCRIPTION, subscribed })

const POSTCONTENTS: readonly PushRule[] = [
  rule('.io.element.msc4306.rule.unsubscribed_thread', [threadSubscription(false)], []),
  rule('.io.element.msc4306.rule.subscribed_thread', [threadSubscription(true)], ['notify', SOUND]),
]

const UNDERRIDES: readonly PushRule[] = [
  rule('.m.rule.call', [match('type', 'm.call.invite')], ['notify', { set_tweak: 'sound', value: 'ring' }]),
  rule(
    '.m.rule.encrypted_room_one_to_one',
    [memberCount('2'), match('type', 'm.room.encrypted')],
    ['notify', SOUND],
  ),
  rule('.m.rule.room_one_to_one', [memberCount('2'), match('type', 'm.room.message')], ['notify', SOUND]),
  rule('.m.rule.message', [match('type', 'm.room.message')], ['notify']),
  rule('.m.rule.encrypted', [match('type', 'm.room.encrypted')], ['notify']),
]

const POLL_OVERRIDES: readonly PushRule[] = [
  rule('.org.matrix.msc3930.rule.poll_response', [match('type', POLL_TYPES.response)], []),
]

const POLL_UNDERRIDES: readonly PushRule[] = [
  rule(
    '.org.matrix.msc3930.rule.poll_start_one_to_one',
    [memberCount('2'), match('type', POLL_TYPES.start)],
    ['notify', SOUND],
  ),
  rule('.org.matrix.msc3930.rule.poll_start', [match('type', POLL_TYPES.start)], ['notify']),
  rule(
    '.org.matrix.msc3930.rule.poll_end_one_to_one',
    [memberCount('2'), match('type', POLL_TYPES.end)],
    ['notify', SOUND],
  ),
  rule('.org.matrix.msc3930.rule.poll_end', [match('type', POLL_TYPES.end)], ['notify']),
]

function rule(ruleId: string, conditions: readonly JsonObject[], actions: readonly JsonValue[]): PushRule {
  return { rule_id: ruleId, default: true, enabled: true, conditions, actions }
}
