import type { UserId } from '../../protocol/ids.js'
import type { Tx } from '../database.js'

/**
 * Who has a pusher, in memory, so that events that concern nobody's pusher cost nothing. It may name somebody who has
 * none any more, never the other way round: a writer adds before its transaction is committed and again after it, and
 * nobody is dropped whom a writer has added since the reader began to look.
 */
export class PusherHolders {
  /** When each was last added, counted in additions. */
  readonly #users = new Map<UserId, number>()
  #additions = 0
  #generation = 0

  /** Changes when somebody is added who was not there: what was derived of the users before is out of date. */
  get generation(): number {
    return this.#generation
  }

  get size(): number {
    return this.#users.size
  }

  has(userId: UserId): boolean {
    return this.#users.has(userId)
  }

  /** To be called where a pusher is written. */
  add(tx: Tx, userId: UserId): void {
    this.#add(userId)
    tx.afterCommit(() => this.#add(userId))
  }

  /** Those whom the database names; who has been added meanwhile stays. */
  load(userIds: Iterable<UserId>): void {
    for (const userId of userIds) this.#add(userId)
  }

  /** The present moment, for `drop`: to be taken before the database is asked. */
  mark(): number {
    return this.#additions
  }

  /** Leaves out those who turned out to have no pusher, unless they were added after the mark. */
  drop(userIds: Iterable<UserId>, mark: number): void {
    for (const userId of userIds) if ((this.#users.get(userId) ?? 0) <= mark) this.#users.delete(userId)
  }

  #add(userId: UserId): void {
    if (!this.#users.has(userId)) this.#generation += 1
    this.#additions += 1
    this.#users.set(userId, this.#additions)
  }
}
