import type { Event } from '../../protocol/event.js'
import { forbidden } from '../../protocol/errors.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { OutsideMemberships } from '../events/outside-memberships.js'
import type { OutsideEventHandler } from './inbound-transactions.js'

interface Parts {
  readonly members: RoomMembersStore
  readonly outside: Pick<OutsideMemberships, 'store'>
  readonly serverName: ServerName
}

/** Takes in what becomes of invitations and knocks of our users in rooms that this server is not in. */
export class OutsideEvents implements OutsideEventHandler {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Ends a waiting membership: an invitation that is taken back by who has sent it, a knock that is turned
   * down by anybody. Throws 403 `M_FORBIDDEN` for everything else.
   */
  async receive(origin: ServerName, room: RoomRecord, event: Event): Promise<void> {
    const { type, stateKey, content, sender } = event
    const { membership } = content
    const isEnd = type === 'm.room.member' && (membership === 'leave' || membership === 'ban')
    if (!isEnd || stateKey === undefined || serverNameOf(stateKey) !== this.#parts.serverName) {
      throw forbidden('This server is not in the room')
    }
    const member = await this.#parts.members.get(this.#db.reader, room.roomNid, stateKey as UserId)
    const isRevoked = member?.membership === 'invite' && member.sender === sender
    const isDenied = member?.membership === 'knock' && serverNameOf(sender) === origin
    if (!isRevoked && !isDenied) throw forbidden('This server is not in the room')
    await this.#parts.outside.store(room, event)
  }
}
