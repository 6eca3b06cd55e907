import { invalidParam } from '../../protocol/errors.js'
import type { SearchOrder } from '../../storage/stores/event-search.js'

export type GroupKey = 'room_id' | 'sender'

/** Where a search goes on: in all results, or in those of one group. */
export interface SearchToken {
  readonly group: { readonly key: GroupKey; readonly value: string } | undefined
  readonly order: SearchOrder
}

const RECENCY = /^t(\d{1,16})_(\d{1,15})$/
const RANK = /^o(\d{1,6})$/

export function formatSearchToken({ group, order }: SearchToken): string {
  const place = order.by === 'rank' ? `o${order.offset}` : formatPlace(order.before)
  return Buffer.from([place, ...(group ? [group.key, group.value] : [])].join('\n')).toString('base64url')
}

/** Throws `M_INVALID_PARAM` for what is no token of a search in this order. */
export function parseSearchToken(token: string, by: SearchOrder['by']): SearchToken {
  const [place = '', key, value] = Buffer.from(token, 'base64url').toString().split('\n', 3)
  const order = by === 'rank' ? parseRank(place) : parseRecency(place)
  if (order === undefined) throw invalidParam('next_batch is not a valid token')
  if (key === undefined) return { order, group: undefined }
  if ((key !== 'room_id' && key !== 'sender') || value === undefined) {
    throw invalidParam('next_batch is not a valid token')
  }
  return { order, group: { key, value } }
}

function formatPlace(place: { originServerTs: number; eventNid: number } | undefined): string {
  return place ? `t${place.originServerTs}_${place.eventNid}` : 't0_0'
}

function parseRank(place: string): SearchOrder | undefined {
  const offset = RANK.exec(place)?.[1]
  return offset === undefined ? undefined : { by: 'rank', offset: Number(offset) }
}

function parseRecency(place: string): SearchOrder | undefined {
  const [, ts, eventNid] = RECENCY.exec(place) ?? []
  if (ts === undefined) return undefined
  return { by: 'recency', before: { originServerTs: Number(ts), eventNid: Number(eventNid) } }
}
