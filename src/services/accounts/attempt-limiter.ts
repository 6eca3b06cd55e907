/** Counts attempts by key and says when there were too many: a section of `ratelimiting`. */
export interface AttemptLimiter {
  /** Counts one attempt; throws `M_LIMIT_EXCEEDED`, and counts nothing, when it is one too many. */
  consume(key: string): void
  /** Takes back one attempt that turned out not to count. */
  refund(key: string): void
}
