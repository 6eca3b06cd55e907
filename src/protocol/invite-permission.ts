import { compileGlob, type GlobMatcher } from '../util/glob.js'
import type { JsonObject, JsonValue } from '../util/json.js'
import { serverNameOf, type UserId } from './ids.js'

/**
 * What becomes of an invitation: it is told, or kept from the invited without the inviter knowing, or refused.
 */
export type InviteVerdict = 'allow' | 'ignore' | 'block'

/** The types of account data in which users say whose invitations they take. */
export const INVITE_PERMISSION_TYPES = [
  'm.invite_permission_config',
  'org.matrix.msc4380.invite_permission_config',
  'org.matrix.msc4155.invite_permission_config',
] as const

interface Rule {
  readonly verdict: InviteVerdict
  readonly about: 'user' | 'server'
  readonly matchers: readonly GlobMatcher[]
}

/** In the order in which they decide. */
const LISTS: readonly (readonly [key: string, verdict: InviteVerdict, about: Rule['about']])[] = [
  ['allowed_users', 'allow', 'user'],
  ['ignored_users', 'ignore', 'user'],
  ['blocked_users', 'block', 'user'],
  ['allowed_servers', 'allow', 'server'],
  ['ignored_servers', 'ignore', 'server'],
  ['blocked_servers', 'block', 'server'],
]

/** More entries of a list are not looked at. */
const MAX_ENTRIES = 1_000

/**
 * Whose invitations a user takes.
 * https://spec.matrix.org/latest/client-server-api/#invite-permission
 * https://github.com/matrix-org/matrix-spec-proposals/pull/4155
 */
export class InvitePermission {
  readonly #blocksAll: boolean
  readonly #rules: readonly Rule[]
  readonly #noticesFrom: UserId | undefined

  /**
   * `configs`: contents of the account data by type; what is not understood counts as absent. `noticesFrom`: who speaks
   * for the user's server, whose invitations everybody takes.
   */
  constructor(configs: ReadonlyMap<string, JsonObject>, noticesFrom?: UserId) {
    this.#noticesFrom = noticesFrom
    const [stable, unstable, filtering] = INVITE_PERMISSION_TYPES
    this.#blocksAll = [stable, unstable].some((type) => configs.get(type)?.['default_action'] === 'block')
    this.#rules = parseRules(configs.get(filtering) ?? {})
  }

  /** Whether everybody may invite. */
  get allowsAll(): boolean {
    return !this.#blocksAll && this.#rules.length === 0
  }

  judge(inviter: UserId): InviteVerdict {
    if (inviter === this.#noticesFrom) return 'allow'
    if (this.#blocksAll) return 'block'
    const server = serverNameOf(inviter)
    const rule = this.#rules.find(({ about, matchers }) =>
      matchers.some((matches) => matches(about === 'user' ? inviter : server)),
    )
    return rule?.verdict ?? 'allow'
  }
}

function parseRules(config: JsonObject): Rule[] {
  return LISTS.flatMap(([key, verdict, about]) => {
    const matchers = stringsOf(config[key]).map((glob) => compileGlob(glob))
    return matchers.length === 0 ? [] : [{ verdict, about, matchers }]
  })
}

function stringsOf(value: JsonValue | undefined): string[] {
  if (!Array.isArray(value)) return []
  return value.filter((entry) => typeof entry === 'string').slice(0, MAX_ENTRIES)
}
