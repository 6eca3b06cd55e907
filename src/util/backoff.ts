export interface BackoffOptions {
  /** The wait after the first failure. */
  readonly baseMs: number
  readonly maxMs: number
  /** How much longer each wait is than the one before; 2 by default. */
  readonly factor?: number
  /** From 0 (no jitter) to 1 (anything between nothing and the whole wait); 0.5 by default. */
  readonly jitter?: number
  /** Between 0 (inclusive) and 1; for tests. */
  readonly random?: () => number
}

/**
 * How long to wait before trying again, in milliseconds: grows with the failures, bounded, and spread so that many who
 * failed together do not come back together.
 * @param failures how often it has failed so far, from 1
 */
export function backoffMs(failures: number, options: BackoffOptions): number {
  const { baseMs, maxMs, factor = 2, jitter = 0.5, random = Math.random } = options
  const full = Math.min(maxMs, baseMs * factor ** Math.max(0, failures - 1))
  return Math.round(full * (1 - jitter * random()))
}
