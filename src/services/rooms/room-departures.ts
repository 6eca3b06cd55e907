import { MatrixError } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { EventSender } from '../events/event-sender.js'
import type { RemoteMembership } from './remote-membership.js'

export interface RoomDeparturesDependencies {
  readonly db: Database
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
  readonly sender: EventSender
  readonly remote: Pick<RemoteMembership, 'leave'>
  /** Called with the refusals of rooms that cannot be left. */
  readonly onError: (error: unknown) => void
}

/** Rooms that are left at a time. */
const BATCH = 20

/** Takes people out of all their rooms: those whose accounts end. */
export class RoomDepartures {
  readonly #deps: RoomDeparturesDependencies

  constructor(deps: RoomDeparturesDependencies) {
    this.#deps = deps
  }

  /**
   * Leaves every room that the user is in, declines invitations and takes knocks back. Goes on where a room refuses;
   * rejects with what else went wrong, once all is tried.
   */
  async leaveAllRooms(userId: UserId): Promise<void> {
    const { db, members, rooms } = this.#deps
    const present = await members.listForUser(db.reader, userId, ['join', 'invite', 'knock'])
    const records = await rooms.getByNids(
      db.reader,
      present.map((member) => member.roomNid),
    )
    const all = [...records.values()]
    const failures: unknown[] = []
    for (let start = 0; start < all.length; start += BATCH) {
      await Promise.all(
        all.slice(start, start + BATCH).map(async ({ roomId }) => {
          try {
            await this.leave(userId, roomId)
          } catch (error) {
            // Nothing would change by trying again what a room's rules refuse.
            if (error instanceof MatrixError) this.#deps.onError(error)
            else failures.push(error)
          }
        }),
      )
    }
    if (failures.length > 0) throw new AggregateError(failures, `${userId} could not leave all rooms`)
  }

  /** Takes the user out of one room, whatever they are in it. Throws what its rules refuse. */
  async leave(userId: UserId, roomId: RoomId): Promise<void> {
    const { remote, sender } = this.#deps
    if (await remote.leave(userId, { roomId, given: {}, via: [] })) return
    const content = { membership: 'leave' }
    await sender.send({ userId }, { roomId, type: 'm.room.member', stateKey: userId, content })
  }
}
