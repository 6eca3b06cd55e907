import { MatrixError } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'

/** Asks a room's policy server about an event; see `EventPolicy.approve`. */
export interface ReceivedEventPolicy {
  approve(room: RoomRecord, event: Event): Promise<Event>
}

/**
 * An event that another server has sent, with the signature of the room's policy server where it has one and wants the
 * event in the room.
 */
export async function judgeByPolicy(
  policy: ReceivedEventPolicy | undefined,
  room: RoomRecord,
  event: Event,
): Promise<{ event: Event; isUnwanted: boolean }> {
  if (!policy) return { event, isUnwanted: false }
  try {
    return { event: await policy.approve(room, event), isUnwanted: false }
  } catch (error) {
    if (error instanceof MatrixError) return { event, isUnwanted: true }
    throw error
  }
}
