/** Counts attempts by key and says when there were too many: a section of `ratelimiting`. */
export interface AttemptLimiter {
  /** Throws `M_LIMIT_EXCEEDED` when one more attempt would be too many; counts nothing. */
  check(key: string): void
  /** Counts one attempt; throws `M_LIMIT_EXCEEDED` when it is one too many. */
  consume(key: string): void
}
