import type { Event } from '../../protocol/event.js'
import { parseRoomId, parseServerName, type RoomId, type ServerName } from '../../protocol/ids.js'
import { stripStateEvent } from '../../protocol/stripped-state.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** A room in a space, as the space says. */
export interface SpaceChild {
  readonly roomId: RoomId
  /** Servers through which it can be had. */
  readonly via: readonly ServerName[]
  readonly isSuggested: boolean
  /** Stripped, with the time. */
  readonly json: JsonObject
  readonly order: string | undefined
  readonly ts: number
}

/** Undefined for what is no child: it names no room, or no server to find it through. */
export function childOfEvent(event: Event): SpaceChild | undefined {
  return childOf({ ...stripStateEvent(event), origin_server_ts: event.originServerTs })
}

/** The same of what another server tells. */
export function childOfStripped(json: JsonObject): SpaceChild | undefined {
  return json['type'] === 'm.space.child' && typeof json['sender'] === 'string' ? childOf(json) : undefined
}

function childOf(json: JsonObject): SpaceChild | undefined {
  const { state_key: stateKey, content, origin_server_ts: ts } = json
  const roomId = typeof stateKey === 'string' ? parseRoomId(stateKey) : undefined
  if (roomId === undefined || !isJsonObject(content)) return undefined
  const { via, order } = content
  if (!Array.isArray(via) || via.length === 0) return undefined
  const isOrder = typeof order === 'string' && /^[\x20-\x7e]{1,50}$/.test(order)
  return {
    roomId,
    via: via.flatMap((name) => (typeof name === 'string' ? (parseServerName(name) ?? []) : [])),
    isSuggested: content['suggested'] === true,
    json,
    order: isOrder ? order : undefined,
    ts: typeof ts === 'number' ? ts : 0,
  }
}

/** https://spec.matrix.org/latest/client-server-api/#ordering-of-children-within-a-space */
export function inOrder(a: SpaceChild, b: SpaceChild): number {
  if (a.order !== b.order) {
    if (a.order === undefined) return 1
    if (b.order === undefined) return -1
    return a.order < b.order ? -1 : 1
  }
  if (a.ts !== b.ts) return a.ts - b.ts
  return a.roomId < b.roomId ? -1 : 1
}
