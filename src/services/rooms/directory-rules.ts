import type { RoomAlias, RoomId, UserId } from '../../protocol/ids.js'
import { compileGlob, type GlobMatcher } from '../../util/glob.js'

/** An entry of `alias_creation_rules` or `room_list_publication_rules`. Parts are globs; `*` matches anything. */
export interface DirectoryRule {
  readonly userId: string
  readonly alias: string
  readonly roomId: string
  readonly action: 'allow' | 'deny'
}

interface CompiledRule {
  readonly userId: GlobMatcher
  /** Undefined for `*`, which also matches rooms without an alias. */
  readonly alias: GlobMatcher | undefined
  readonly roomId: GlobMatcher
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
        one.userId(userId) &&
        one.roomId(roomId) &&
        (one.alias === undefined || aliases.some((alias) => one.alias?.(alias))),
    )
    return rule?.allows ?? false
  }
}
