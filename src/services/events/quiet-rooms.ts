import { Event } from '../../protocol/event.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import type { PushContext, PushEvaluator } from '../../protocol/push-evaluator.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'

/** What is said in a room of several people by nobody in particular, about nothing. */
const CONTEXT: PushContext = { memberCount: 3, displayName: undefined, mayNotify: () => false }
const NOBODY = '@:' as UserId

/**
 * Whether somebody's push rules keep a room's ordinary messages quiet, encrypted or not: because it is muted, or
 * because only mentions count there.
 */
export function isQuietRoom(evaluator: PushEvaluator, room: RoomRecord): boolean {
  return (
    !evaluator.evaluate(ordinary(room, 'm.room.message'), CONTEXT).notify &&
    !evaluator.evaluate(ordinary(room, 'm.room.encrypted'), CONTEXT).notify
  )
}

function ordinary(room: RoomRecord, type: string): Event {
  const json = {
    type,
    sender: NOBODY,
    room_id: room.roomId,
    content: type === 'm.room.message' ? { msgtype: 'm.text', body: '' } : {},
    origin_server_ts: 0,
    depth: 0,
    prev_events: [],
    auth_events: [],
    hashes: { sha256: '' },
    signatures: {},
  }
  return new Event(room.rules, json, { eventId: '$' as EventId, roomId: room.roomId })
}
