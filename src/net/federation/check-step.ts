import type { JsonObject } from '../../util/json.js'

export type CheckOutcome = 'ok' | 'warning' | 'failed' | 'skipped'

/** One step on the way to a server, and what to do where it does not lead on. */
export interface CheckStep {
  readonly step: 'well-known' | 'srv' | 'addresses' | 'certificate' | 'version' | 'keys' | 'configuration'
  readonly outcome: CheckOutcome
  /** What was found, in a line. */
  readonly summary: string
  readonly cause?: string
  readonly cure?: string
  /** The same for programs. */
  readonly details?: JsonObject
}
