import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { FoundUser, UserDirectoryStore } from '../../storage/stores/user-directory.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import { foldText, namePrefixesOf } from '../../util/words.js'
import type { DirectoryUsers } from './directory-users.js'

/** `user_directory`. */
export interface UserDirectoryOptions {
  readonly searchAllUsers: boolean
  readonly preferLocalUsers: boolean
  readonly excludeRemoteUsers: boolean
  readonly showLockedUsers: boolean
}

export interface UserDirectoryDependencies {
  readonly db: Database
  readonly userDirectory: UserDirectoryStore
  /** Undefined where the directory is switched off. */
  readonly entries: DirectoryUsers | undefined
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'showable'> | undefined
  readonly options: UserDirectoryOptions
}

export interface UserSearchResults {
  readonly users: readonly FoundUser[]
  /** There are more. */
  readonly limited: boolean
}

const MAX_LIMIT = 50
const MAX_TERM_LENGTH = 512

/**
 * Finds people by name: those in rooms that are open to everybody, and those with whom one shares a room.
 * https://spec.matrix.org/latest/client-server-api/#user-directory
 */
export class UserDirectory {
  readonly #deps: UserDirectoryDependencies

  constructor(deps: UserDirectoryDependencies) {
    this.#deps = deps
  }

  /** The best matches first, `limit` of them, and 50 at most. */
  async search(requester: UserId, term: string, limit: number): Promise<UserSearchResults> {
    const { db, userDirectory, entries, options } = this.#deps
    const typed = term.slice(0, MAX_TERM_LENGTH).toWellFormed().trim()
    const prefixes = namePrefixesOf(typed)
    if (entries === undefined || prefixes.length === 0) return { users: [], limited: false }
    await entries.catchUp()
    const size = Math.min(Math.max(limit, 0), MAX_LIMIT)
    const users = await userDirectory.search(db.reader, {
      requester,
      prefixes,
      typed,
      folded: foldText(typed),
      // One more than asked for shows whether there are more.
      limit: size + 1,
      includesEverybody: options.searchAllUsers,
      prefersLocal: options.preferLocalUsers,
      excludesRemote: options.excludeRemoteUsers,
      showsLocked: options.showLockedUsers,
    })
    const page = users.slice(0, size)
    const shown = (await this.#deps.spam?.showable(page, requester)) ?? page
    return { users: shown, limited: users.length > size }
  }
}
