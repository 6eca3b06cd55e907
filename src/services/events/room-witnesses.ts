import type { EventId } from '../../protocol/ids.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'

/** Others who know of rooms what this server has lost: the servers in them. */
export interface RoomWitnesses {
  /**
   * The events of the state after an event, as one of them says that can be believed; all are held afterwards. Undefined
   * where nobody says.
   */
  stateAfter(room: RoomRecord, eventId: EventId): Promise<readonly EventId[] | undefined>
  /** Gets events that authorize others, with all that authorizes them. What nobody has is still missing afterwards. */
  fetchAuthEvents(room: RoomRecord, ids: readonly EventId[]): Promise<void>
}
