import type { RoomAlias, RoomId, UserId } from '../../protocol/ids.js'

/** An entry of `alias_creation_rules` or `room_list_publication_rules`. Parts are globs; `*` matches anything. */
export interface DirectoryRule {
  readonly userId: string
  readonly alias: string
  readonly roomId: string
  readonly action: 'allow' | 'deny'
}

interface CompiledRule {
  readonly userId: RegExp
  /** Undefined for `*`, which also matches rooms without an alias. */
  readonly alias: RegExp | undefined
  readonly roomId: RegExp
  readonly allows: boolean
}

/** Who may make aliases or publish rooms: the first rule that matches decides; where none does, nobody may. */
export class DirectoryRules {
  readonly #rules: readonly CompiledRule[]

  constructor(rules: readonly DirectoryRule[]) {
    this.#rules = rules.map((rule) => ({
      userId: compileGlob(rule.userId),
      alias: rule.alias === '*' ? undefined : compileGlob(rule.alias),
      roomId: compileGlob(rule.roomId),
      allows: rule.action === 'allow',
    }))
  }

  /** A rule about aliases matches when it matches one of them. */
  allows(userId: UserId, roomId: RoomId, aliases: readonly RoomAlias[]): boolean {
    const rule = this.#rules.find(
      (one) =>
        one.userId.test(userId) &&
        one.roomId.test(roomId) &&
        (one.alias === undefined || aliases.some((alias) => one.alias?.test(alias))),
    )
    return rule?.allows ?? false
  }
}

/** A glob for the whole of an ID: `*` any characters, `?` one. */
function compileGlob(glob: string): RegExp {
  // Runs of stars are one: the expression must not backtrack without end.
  const source = glob
    .replace(/\*+/g, '*')
    .replace(/[\\^$.+()|[\]{}]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.')
  return new RegExp(`^${source}$`, 'su')
}
