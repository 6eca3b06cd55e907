import type { AuthVerdict } from './auth-verdict.js'
import type { Event } from './event.js'

/** One event that is tried, and what the authorization rules say of it at that point. */
export interface ResolutionStep {
  /**
   * Why it is tried then. From version 2 on: `power`, because it may take somebody's power away, `mainline` otherwise.
   * In version 1: `line`, as one of those that follow each other, `deepest`, until one is allowed.
   */
  readonly pass: 'power' | 'mainline' | 'line' | 'deepest'
  readonly event: Event
  readonly verdict: AuthVerdict
}
