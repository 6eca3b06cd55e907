import { LRUCache } from 'lru-cache'
import type { UserId } from '../../protocol/ids.js'
import { upTo } from '../../util/lru-bounds.js'
import type { Requester } from './requester.js'

/** What is known of a token. */
export interface KnownToken {
  readonly requester: Requester
}

/**
 * What is known of tokens, by their hashes. Whatever changes an account or ends sessions has its user forgotten, so that
 * what is here holds.
 */
export class RequesterCache<T extends KnownToken> {
  readonly #tokens: LRUCache<string, T>
  readonly #hashesByUser = new Map<UserId, Set<string>>()
  #generation = 0

  /** @param size entries at most */
  constructor(size: number) {
    this.#tokens = new LRUCache<string, T>({
      ...upTo(size),
      dispose: (token, hash) => this.#forgetHash(token.requester.userId, hash),
    })
  }

  /** Another number whenever somebody has been forgotten. */
  get generation(): number {
    return this.#generation
  }

  get(hash: string): T | undefined {
    return this.#tokens.get(hash)
  }

  /** `readAt`: the generation before the token was looked up; if that has gone by, it may hold no more and is not kept. */
  remember(hash: string, token: T, readAt: number): void {
    if (readAt !== this.#generation) return
    const { userId } = token.requester
    this.#tokens.set(hash, token)
    const hashes = this.#hashesByUser.get(userId)
    if (hashes === undefined) this.#hashesByUser.set(userId, new Set([hash]))
    else hashes.add(hash)
  }

  forgetUser(userId: UserId): void {
    this.#generation += 1
    for (const hash of [...(this.#hashesByUser.get(userId) ?? [])]) this.#tokens.delete(hash)
  }

  #forgetHash(userId: UserId, hash: string): void {
    const hashes = this.#hashesByUser.get(userId)
    hashes?.delete(hash)
    if (hashes?.size === 0) this.#hashesByUser.delete(userId)
  }
}
