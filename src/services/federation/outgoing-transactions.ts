import type { JsonObject } from '../../util/json.js'
import type { CatchUpPart, OutboxPart } from './destination-backlog.js'
import type { ReceiptPart } from './missed-receipts.js'
import { toEdus, type EduJson, type OutgoingEdu } from './outgoing-edus.js'

/** An event for a destination. */
export interface QueuedPdu {
  readonly roomNid: number
  readonly streamOrdering: number
  readonly json: JsonObject
  /** The destination leaves the room with it. */
  readonly isLast: boolean
}

/**
 * What became of a transaction. `later`: when the destination may be tried again, in milliseconds since the epoch;
 * `refused`: so too, and it has answered that it does not take this.
 */
export type Delivery =
  | { readonly outcome: 'delivered' }
  | { readonly outcome: 'never' }
  | { readonly outcome: 'later' | 'refused'; readonly retryAt: number }

/** What a destination is told at once. */
export interface Transaction {
  readonly txnId: string
  readonly pdus: readonly JsonObject[]
  readonly edus: readonly EduJson[]
}

export const NO_OUTBOX: OutboxPart = { edus: [], messages: [], deviceChanges: [], hasMore: false }
export const NO_CATCH_UP: CatchUpPart = { events: [], rooms: [] }
export const NO_REST = { pdus: [], passing: [], receipts: undefined, catchUp: NO_CATCH_UP }

/** A transaction on its way, by where its parts come from. */
export interface Outgoing {
  readonly txnId: string
  readonly pdus: readonly QueuedPdu[]
  readonly passing: readonly OutgoingEdu[]
  readonly receipts: ReceiptPart | undefined
  readonly outbox: OutboxPart
  readonly catchUp: CatchUpPart
}

/** As it is sent, with so many EDUs of those that pass by. */
export function toTransaction(
  { txnId, pdus, passing, outbox, catchUp }: Outgoing,
  maxEdus: number,
): Transaction {
  return {
    txnId,
    pdus: [...pdus.map(({ json }) => json), ...catchUp.events.map(({ json }) => withoutUnsigned(json))],
    edus: [...outbox.edus, ...toEdus(passing, maxEdus).json],
  }
}

export function sizeOf({ events, rooms }: CatchUpPart): number {
  return events.length + rooms.length
}

/** What is to be sent again of a transaction: of what passed by something newer will be told. Undefined: nothing. */
export function withoutPassing(outgoing: Outgoing): Outgoing | undefined {
  const { pdus, outbox, catchUp } = outgoing
  if (pdus.length + outbox.edus.length + sizeOf(catchUp) === 0) return undefined
  return { ...outgoing, passing: [], receipts: undefined }
}

/** An event as it is sent: what is not signed is the sending server's own business. */
export function withoutUnsigned(json: Readonly<Record<string, unknown>>): JsonObject {
  const { unsigned: _unsigned, ...signed } = json
  return signed as JsonObject
}
