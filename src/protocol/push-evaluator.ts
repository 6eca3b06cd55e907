import { compileGlob, containsWords } from '../util/glob.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import { TEXT_MENTION_RULES, THREAD_SUBSCRIPTION } from './default-push-rules.js'
import type { Event } from './event.js'
import { PUSH_RULE_KINDS, type PushRule, type PushRuleKind, type PushRuleset } from './push-rules.js'

/** What rules ask beyond the event itself. */
export interface PushContext {
  /** Members who have joined. */
  readonly memberCount: number
  /** The display name, in the room, of the user whose rules these are. */
  readonly displayName: string | undefined
  /** Whether that user has subscribed to the thread that the event is in; undefined: it is in none. */
  readonly isSubscribed?: boolean | undefined
  /** Whether the sender's power level reaches the one that `notifications[key]` of the power levels wants. */
  mayNotify(key: string): boolean
}

/** What an event comes to for a user. `actions`: of the rule that matched, for the push gateway. */
export interface PushOutcome {
  readonly notify: boolean
  readonly highlight: boolean
  readonly actions: readonly JsonValue[]
}

const NOTHING: PushOutcome = { notify: false, highlight: false, actions: [] }

type Condition = (event: Event, context: PushContext) => boolean

interface CompiledRule {
  readonly matches: Condition
  readonly outcome: PushOutcome
}

/**
 * A user's push rules, compiled once for many events. Events of the user's own are not for this: they notify nobody.
 * https://spec.matrix.org/latest/client-server-api/#push-rules
 */
export class PushEvaluator {
  readonly #rules: readonly CompiledRule[]

  constructor(ruleset: PushRuleset) {
    this.#rules = PUSH_RULE_KINDS.flatMap((kind) =>
      (ruleset[kind] ?? []).filter((rule) => rule.enabled).map((rule) => compileRule(kind, rule)),
    )
  }

  /** The outcome of the first rule that matches; nothing if none does. */
  evaluate(event: Event, context: PushContext): PushOutcome {
    for (const rule of this.#rules) if (rule.matches(event, context)) return rule.outcome
    return NOTHING
  }
}

function compileRule(kind: PushRuleKind, rule: PushRule): CompiledRule {
  const outcome = outcomeOf(rule.actions)
  const matches = compileMatch(kind, rule)
  if (!rule.default || !TEXT_MENTION_RULES.has(rule.rule_id)) return { matches, outcome }
  return {
    matches: (event, context) => !Object.hasOwn(event.content, 'm.mentions') && matches(event, context),
    outcome,
  }
}

function compileMatch(kind: PushRuleKind, rule: PushRule): Condition {
  switch (kind) {
    case 'content':
      return eventMatch('content.body', rule.pattern ?? '')
    case 'room':
      return (event) => event.roomId === rule.rule_id
    case 'sender':
      return (event) => event.sender === rule.rule_id
    default: {
      const conditions = (rule.conditions ?? []).map(compileCondition)
      return (event, context) => conditions.every((condition) => condition(event, context))
    }
  }
}

function outcomeOf(actions: readonly JsonValue[]): PushOutcome {
  const highlights = actions.some(
    (action) => isJsonObject(action) && action['set_tweak'] === 'highlight' && action['value'] !== false,
  )
  const notify = actions.includes('notify')
  return { notify, highlight: notify && highlights, actions }
}

const never: Condition = () => false

/** Conditions that are unknown or not as they should be match nothing. */
function compileCondition(condition: JsonObject): Condition {
  const { kind, key, pattern, value, is, subscribed } = condition
  switch (kind) {
    case 'event_match':
      return typeof key === 'string' && typeof pattern === 'string' ? eventMatch(key, pattern) : never
    case 'event_property_is':
      return typeof key === 'string' && isPlainValue(value) ? propertyIs(key, value) : never
    case 'event_property_contains':
      return typeof key === 'string' && isPlainValue(value) ? propertyContains(key, value) : never
    case 'contains_display_name':
      return containsDisplayName
    case 'room_member_count':
      return memberCountIs(is)
    case 'sender_notification_permission':
      return typeof key === 'string' ? (_event, context) => context.mayNotify(key) : never
    case THREAD_SUBSCRIPTION:
      return subscriptionIs(subscribed)
    default:
      return never
  }
}

function eventMatch(key: string, pattern: string): Condition {
  const path = splitPath(key)
  const matches = compileGlob(pattern, { ignoreCase: true, words: key === 'content.body' })
  return (event) => {
    const value = propertyOf(event, path)
    return typeof value === 'string' && matches(value)
  }
}

function propertyIs(key: string, wanted: JsonValue): Condition {
  const path = splitPath(key)
  return (event) => propertyOf(event, path) === wanted
}

function propertyContains(key: string, wanted: JsonValue): Condition {
  const path = splitPath(key)
  return (event) => {
    const values = propertyOf(event, path)
    return Array.isArray(values) && values.includes(wanted)
  }
}

function containsDisplayName(event: Event, { displayName }: PushContext): boolean {
  const body = event.content['body']
  if (displayName === undefined || displayName === '' || typeof body !== 'string') return false
  return containsWords(body.toLowerCase(), displayName.toLowerCase())
}

/** Of events that are in no thread it holds in no case. */
function subscriptionIs(wanted: JsonValue | undefined): Condition {
  if (typeof wanted !== 'boolean') return never
  return (_event, { isSubscribed }) => isSubscribed === wanted
}

function memberCountIs(is: JsonValue | undefined): Condition {
  if (typeof is !== 'string') return never
  const parts = /^(==|<=|>=|<|>)?(\d{1,15})$/.exec(is)
  if (!parts) return never
  const wanted = Number(parts[2])
  switch (parts[1]) {
    case '<':
      return (_event, { memberCount }) => memberCount < wanted
    case '>':
      return (_event, { memberCount }) => memberCount > wanted
    case '<=':
      return (_event, { memberCount }) => memberCount <= wanted
    case '>=':
      return (_event, { memberCount }) => memberCount >= wanted
    default:
      return (_event, { memberCount }) => memberCount === wanted
  }
}

/** Strings, integers, booleans and null can be compared. */
function isPlainValue(value: JsonValue | undefined): value is string | number | boolean | null {
  return (
    value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value)
  )
}

function propertyOf(event: Event, path: readonly string[]): unknown {
  let value: unknown = event.json
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

/**
 * The names in a path: dots separate them, a backslash takes a dot's or a backslash's meaning away.
 * https://spec.matrix.org/latest/appendices/#dot-separated-property-paths
 */
function splitPath(key: string): string[] {
  const names: string[] = []
  let name = ''
  for (let index = 0; index < key.length; index++) {
    const character = key.charAt(index)
    const next = key.charAt(index + 1)
    if (character === '\\' && (next === '.' || next === '\\')) {
      name += next
      index++
    } else if (character === '.') {
      names.push(name)
      name = ''
    } else {
      name += character
    }
  }
  return [...names, name]
}
