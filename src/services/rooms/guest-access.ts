import type { RoomId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { EventSender } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'

export interface GuestAccessDependencies {
  readonly db: Database
  readonly members: RoomMembersStore
  readonly roomState: RoomState
  readonly sender: EventSender
  /** Called with what fails while guests are made to leave. */
  readonly onError: (error: unknown) => void
}

/**
 * Where guests may be: rooms cannot tell who is a guest, so that each server sees to its own.
 * https://spec.matrix.org/latest/client-server-api/#guest-access
 */
export class GuestAccess {
  readonly #deps: GuestAccessDependencies

  constructor(deps: GuestAccessDependencies) {
    this.#deps = deps
  }

  async mayJoin(roomId: RoomId): Promise<boolean> {
    const event = await this.#deps.roomState.getStateEvent(roomId, 'm.room.guest_access', '')
    return event?.event.content['guest_access'] === 'can_join'
  }

  /** Makes the guests of this server leave a room that guests may no longer be in. Does nothing elsewhere. */
  async enforce(roomId: RoomId): Promise<void> {
    const { db, members, roomState, sender, onError } = this.#deps
    const room = await roomState.findRoom(roomId)
    if (room === undefined || (await this.mayJoin(roomId))) return
    const guests = await members.listGuests(db.reader, room.roomNid)
    for (const userId of guests) {
      const content = { membership: 'leave' }
      try {
        await sender.send({ userId }, { roomId, type: 'm.room.member', stateKey: userId, content })
      } catch (error) {
        onError(error)
      }
    }
  }
}
