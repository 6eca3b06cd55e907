import type { Row } from '../../../storage/database.js'
import { isTrue, numberOf, readPages, textOf } from '../../../storage/synapse/rows.js'
import type { SynapseSource } from '../../../storage/synapse/source.js'
import type { DefaultRuleChange, PushRule } from '../../../protocol/push-rules.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../../util/json.js'
import type { RowsCopy } from '../table-copy.js'

type Kind = 'override' | 'content' | 'room' | 'sender' | 'underride'

const KINDS: ReadonlySet<string> = new Set<Kind>(['override', 'content', 'room', 'sender', 'underride'])
const USERS_AT_ONCE = 500

interface UserRules {
  readonly rules: Partial<Record<Kind, PushRule[]>>
  readonly defaults: Record<string, DefaultRuleChange>
}

const TABLES = ['push_rules', 'push_rules_enable']

/** Push rules: there a row for each rule and each rule that is switched on or off, here a document for each user. */
export const PUSH_RULES_COPY: RowsCopy = {
  what: 'push rules',
  into: 'push_rules',
  options: { columns: { user_id: 'text', stream_id: 'integer', changes: 'text' } },
  count: async (source) => (await namesOfUsers(source)).length,
  async *make(source) {
    const names = await namesOfUsers(source)
    for (let start = 0; start < names.length; start += USERS_AT_ONCE) {
      const documents = await readDocuments(source, names.slice(start, start + USERS_AT_ONCE))
      const rows = [...documents].map(([userId, changes], index) => ({
        user_id: userId,
        stream_id: start + index + 1,
        changes: JSON.stringify(changes),
      }))
      yield { read: rows.length, rows }
    }
  },
}

async function namesOfUsers(source: SynapseSource): Promise<string[]> {
  const names = new Set<string>()
  for (const table of TABLES) {
    const pages = readPages(source, {
      table,
      columns: ['user_name', 'rule_id'],
      key: ['user_name', 'rule_id'],
    })
    for await (const page of pages) for (const row of page) names.add(textOf(row['user_name']) ?? '')
  }
  return [...names].sort()
}

async function readDocuments(
  { q }: SynapseSource,
  userIds: readonly string[],
): Promise<Map<string, UserRules>> {
  const documents = new Map<string, UserRules>(userIds.map((id) => [id, { rules: {}, defaults: {} }]))
  const list = [q.dialect.list(userIds)]
  const [rules, switches] = [
    await q.all(
      `SELECT user_name, rule_id, conditions, actions FROM push_rules
       WHERE ${q.dialect.anyOf('user_name', 'text')}
       ORDER BY user_name, priority_class DESC, priority DESC`,
      list,
    ),
    await q.all(
      `SELECT user_name, rule_id, enabled FROM push_rules_enable WHERE ${q.dialect.anyOf('user_name', 'text')}`,
      list,
    ),
  ]
  const enabled = new Map(switches.map((row) => [keyOf(row), isTrue(numberOf(row['enabled']))]))
  for (const row of rules) addRule(documents.get(textOf(row['user_name']) ?? ''), row, enabled)
  for (const row of switches) {
    const { ruleId } = parseId(row)
    const document = documents.get(textOf(row['user_name']) ?? '')
    if (!document || !ruleId.startsWith('.')) continue
    document.defaults[ruleId] = { ...document.defaults[ruleId], enabled: enabled.get(keyOf(row)) === true }
  }
  return documents
}

function addRule(document: UserRules | undefined, row: Row, enabled: ReadonlyMap<string, boolean>): void {
  const { kind, ruleId } = parseId(row)
  const actions = listOf(row['actions'])
  if (!document || !KINDS.has(kind)) return
  // A row for a rule of the server's means that its actions have been changed.
  if (ruleId.startsWith('.')) {
    document.defaults[ruleId] = { ...document.defaults[ruleId], actions }
    return
  }
  const conditions = listOf(row['conditions']).filter(isJsonObject)
  const rule: PushRule = {
    rule_id: ruleId,
    default: false,
    enabled: enabled.get(keyOf(row)) ?? true,
    actions,
    ...definedFor(kind as Kind, conditions),
  }
  ;(document.rules[kind as Kind] ??= []).push(rule)
}

/** There, rules of all kinds have conditions. */
function definedFor(kind: Kind, conditions: readonly JsonObject[]): Partial<PushRule> {
  if (kind === 'override' || kind === 'underride') return { conditions }
  if (kind !== 'content') return {}
  const pattern = conditions.find((condition) => condition['kind'] === 'event_match')?.['pattern']
  return { pattern: typeof pattern === 'string' ? pattern : '' }
}

/** `global/<kind>/<rule ID>`. */
function parseId(row: Row): { kind: string; ruleId: string } {
  const [, kind = '', ...rest] = (textOf(row['rule_id']) ?? '').split('/')
  return { kind, ruleId: rest.join('/') }
}

function keyOf(row: Row): string {
  return `${textOf(row['user_name']) ?? ''} ${textOf(row['rule_id']) ?? ''}`
}

function listOf(value: unknown): JsonValue[] {
  try {
    const parsed: unknown = JSON.parse(textOf(value) ?? '[]')
    return Array.isArray(parsed) ? (parsed as JsonValue[]) : []
  } catch {
    return []
  }
}
