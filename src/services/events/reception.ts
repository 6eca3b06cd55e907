import type { StoredEvent } from '../../storage/stores/events.js'
import type { EventId } from '../../protocol/ids.js'
import type { Judgement } from './event-judge.js'

/** What became of an event from elsewhere. */
export type Reception =
  | { readonly outcome: 'accepted' | 'softFailed'; readonly stored: StoredEvent }
  | { readonly outcome: 'rejected'; readonly stored: StoredEvent; readonly reason: string }
  | { readonly outcome: 'known'; readonly stored: StoredEvent }
  /** Events that must be had first. */
  | {
      readonly outcome: 'missing'
      readonly prevEvents: readonly EventId[]
      readonly authEvents: readonly EventId[]
    }

/** What is to become of an event: it is being written, or need not or cannot be. */
export type Decision =
  { readonly reception: Reception } | { readonly stored: Promise<StoredEvent>; readonly judgement: Judgement }

/** Whether nothing can be said of the event before others have come. */
export function isMissing(decision: Decision): boolean {
  return 'reception' in decision && decision.reception.outcome === 'missing'
}

/** What became of the event, once it is written. Rejects where it could not be. */
export async function settle(decision: Decision): Promise<Reception> {
  if ('reception' in decision) return decision.reception
  const stored = await decision.stored
  const { rejected, softFailed } = decision.judgement
  if (rejected !== null) return { outcome: 'rejected', stored, reason: rejected }
  return { outcome: softFailed ? 'softFailed' : 'accepted', stored }
}
