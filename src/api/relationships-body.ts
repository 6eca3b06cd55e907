import { z } from 'zod'
import { invalidParam } from '../protocol/errors.js'
import { parseEventId, parseRoomId, type EventId, type RoomId } from '../protocol/ids.js'
import type { WalkRequest } from '../services/events/relationship-walk.js'

const number = (byDefault: number) => z.number().int().default(byDefault)

/**
 * What both clients and servers ask for of a thread, with the proposal's defaults.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/2836
 */
export const relationshipsBody = z.looseObject({
  event_id: z.string(),
  room_id: z.string().optional(),
  max_depth: number(3),
  max_breadth: number(10),
  limit: number(100),
  depth_first: z.boolean().default(false),
  recent_first: z.boolean().default(true),
  include_parent: z.boolean().default(false),
  include_children: z.boolean().default(false),
  direction: z.enum(['up', 'down']).default('down'),
})

/** Throws 400 `M_INVALID_PARAM` where an ID is none. */
export function toRelationshipsRequest(
  body: z.output<typeof relationshipsBody>,
): WalkRequest & { eventId: EventId; roomId: RoomId | undefined } {
  const eventId = parseEventId(body.event_id)
  if (eventId === undefined) throw invalidParam('event_id is no event ID')
  const roomId = body.room_id === undefined ? undefined : parseRoomId(body.room_id)
  if (body.room_id !== undefined && roomId === undefined) throw invalidParam('room_id is no room ID')
  return {
    eventId,
    roomId,
    direction: body.direction,
    maxDepth: body.max_depth,
    maxBreadth: body.max_breadth,
    limit: body.limit,
    depthFirst: body.depth_first,
    recentFirst: body.recent_first,
    includeParent: body.include_parent,
    includeChildren: body.include_children,
  }
}
