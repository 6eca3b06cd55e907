import type { PusherRecord } from '../../storage/stores/pushers.js'
import type { UserNotification } from './notified-events.js'

/** What there is to be told. */
export interface PusherNews {
  /** Unread, after the pusher's position, the oldest first. */
  readonly notifications: readonly UserNotification[]
  /** How much is unread. */
  readonly badge: number
  /** Of the events stream: the notifications go up to here. */
  readonly upTo: number
}

/**
 * What became of it. `done`: everything up to `upTo` has been dealt with; `failed`: everything up to `position` has;
 * `later`: nothing yet, there is a time for it; `rejected`: the pusher is never to be used again.
 */
export type PusherOutcome =
  | { readonly kind: 'done'; readonly badge: number }
  | { readonly kind: 'failed'; readonly position: number; readonly error: unknown }
  | { readonly kind: 'later'; readonly dueTs: number }
  | { readonly kind: 'rejected' }

/** Tells the user of one kind of pushers. Does not reject. */
export interface PusherDelivery {
  deliver(pusher: PusherRecord, news: PusherNews, signal: AbortSignal): Promise<PusherOutcome>
}
