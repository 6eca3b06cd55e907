import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { UsersStore } from '../../storage/stores/users.js'

/** Users who have left for good and want their messages hidden from people who were not there. Few, and remembered. */
export class ErasedUsers {
  readonly #db: Database
  readonly #users: Pick<UsersStore, 'listErased'>
  #known: Promise<Set<UserId>> | undefined

  constructor(db: Database, users: Pick<UsersStore, 'listErased'>) {
    this.#db = db
    this.#users = users
  }

  list(): Promise<ReadonlySet<UserId>> {
    this.#known ??= this.#load()
    return this.#known
  }

  /** Somebody has become one of them. */
  onErased(): void {
    this.#known = undefined
  }

  async #load(): Promise<Set<UserId>> {
    try {
      return new Set(await this.#users.listErased(this.#db.reader))
    } catch (error) {
      this.#known = undefined
      throw error
    }
  }
}
