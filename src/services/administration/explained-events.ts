import type { AuthVerdict } from '../../protocol/auth-verdict.js'
import type { EventId } from '../../protocol/ids.js'
import type { StoredEvent } from '../../storage/stores/events.js'

/** What became of an event when it came. */
export type EventStatus =
  | 'accepted'
  | 'rejected'
  | 'softFailed'
  /** Known without a place in the room's timeline. */
  | 'outlier'

/** An event as explanations name it. */
export interface ExplainedEvent {
  readonly eventId: EventId
  readonly type: string
  readonly stateKey: string | undefined
  readonly sender: string
  readonly originServerTs: number
  readonly depth: number
  readonly status: EventStatus
  /** The rule that rejected it, and why. */
  readonly rejected: string | undefined
}

/** What a check said. `rule` as in the specification of room version 12; `v1:4` is one that only older versions have. */
export interface ExplainedVerdict {
  readonly allowed: boolean
  readonly rule: string | undefined
  readonly reason: string | undefined
}

export function explainedEvent({ event, streamOrdering, rejected, softFailed }: StoredEvent): ExplainedEvent {
  const { eventId, type, stateKey, sender, originServerTs, depth } = event
  const place = streamOrdering === null ? 'outlier' : 'accepted'
  const status = rejected !== null ? 'rejected' : softFailed ? 'softFailed' : place
  return { eventId, type, stateKey, sender, originServerTs, depth, status, rejected: rejected ?? undefined }
}

export function explainedVerdict(verdict: AuthVerdict): ExplainedVerdict {
  return verdict.allowed
    ? { allowed: true, rule: undefined, reason: undefined }
    : { allowed: false, rule: verdict.rule, reason: verdict.reason }
}
