import { invalidParam, MatrixError } from '../../protocol/errors.js'
import { serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import { CREATOR_POWER_LEVEL, requiredPowerLevel } from '../../protocol/power-levels.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { UsersStore } from '../../storage/stores/users.js'
import { isJsonObject } from '../../util/json.js'
import { actingFor, type Requester } from '../accounts/requester.js'
import type { EventSender } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'
import type { RoomMembership } from '../rooms/room-membership.js'
import { RoomPowers, type RoomPower } from '../rooms/room-powers.js'

export interface RoomAdministrationDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly members: RoomMembersStore
  readonly roomState: RoomState
  readonly membership: RoomMembership
  readonly sender: Pick<EventSender, 'send'>
  readonly serverName: ServerName
}

/** Where a room says nothing of it: what its creator has. */
const FULL_POWER = 100
const POWER_LEVELS = 'm.room.power_levels'

/** Changes who is in rooms, and what they may do there, on the word of an administrator of the server. */
export class RoomAdministration {
  readonly #deps: RoomAdministrationDependencies
  readonly #powers: RoomPowers

  constructor(deps: RoomAdministrationDependencies) {
    this.#deps = deps
    this.#powers = new RoomPowers(deps.db, deps.roomState, deps.members)
  }

  /**
   * Brings a user of this server into a room, with an invitation by the administrator where it takes one. Gives the
   * room's ID. Throws `M_INVALID_PARAM` for users of other servers, `M_NOT_FOUND` for those that are not there, and what
   * inviting and joining throw.
   */
  async join(
    requester: Requester,
    userId: UserId,
    { room: roomIdOrAlias, via }: { readonly room: string; readonly via: readonly string[] },
  ): Promise<RoomId> {
    const { db, users, members, membership, roomState, serverName } = this.#deps
    if (serverNameOf(userId) !== serverName)
      throw invalidParam('This endpoint can only be used with local users')
    const user = await users.get(db.reader, userId)
    if (user === undefined || user.isDeactivated) throw new MatrixError('M_NOT_FOUND', 'User not found')
    const { roomId, servers } = await membership.findRoom(roomIdOrAlias)
    const room = await roomState.findRoom(roomId)
    const present = room && (await members.get(db.reader, room.roomNid, userId))
    const isExpected = present?.membership === 'join' || present?.membership === 'invite'
    if (room && !isExpected && userId !== requester.userId && !(await membership.isOpen(roomId))) {
      await membership.invite(requester, roomId, { userId, reason: undefined, isLimited: false })
    }
    await membership.join(actingFor(user), roomId, { via: [...via, ...servers], isLimited: false })
    return roomId
  }

  /**
   * Gives a user the power of the mightiest user of this server in the room, who acts for that, and invites them where
   * they could not enter otherwise. 400 `M_UNKNOWN` where nobody of this server has the power.
   */
  async makeAdmin(roomIdOrAlias: string, userId: UserId): Promise<void> {
    const { db, members, roomState, membership } = this.#deps
    const { roomId } = await membership.findRoom(roomIdOrAlias)
    const room = await roomState.requireRoom(roomId)
    const power = await this.#powers.get(room)
    const admin = await this.#findAdmin(room, power)
    await this.#share(room, power, { admin, userId })
    const present = await members.get(db.reader, room.roomNid, userId)
    const isExpected = present?.membership === 'join' || present?.membership === 'invite'
    if (isExpected || (await membership.isOpen(roomId))) return
    const requester = actingFor({ userId: admin, isGuest: false })
    await membership.invite(requester, roomId, { userId, reason: undefined, isLimited: false })
  }

  async #findAdmin(room: RoomRecord, power: RoomPower): Promise<UserId> {
    const { db, members } = this.#deps
    const present = await members.listForRoom(db.reader, room.roomNid, ['join'], { localOnly: true })
    const needed = requiredPowerLevel(power.levels, POWER_LEVELS, true)
    const able = present
      .map(({ userId }) => ({ userId, level: power.levelOf(userId) }))
      .filter(({ level }) => level >= needed)
      .sort((a, b) => (a.level === b.level ? 0 : b.level - a.level))
    const [mightiest] = able
    if (mightiest === undefined) {
      throw new MatrixError('M_UNKNOWN', 'No local admin user in room with power to update power levels.', {
        status: 400,
      })
    }
    return mightiest.userId
  }

  async #share(
    { roomId }: RoomRecord,
    power: RoomPower,
    { admin, userId }: { readonly admin: UserId; readonly userId: UserId },
  ): Promise<void> {
    const level = power.levelOf(admin)
    if (power.levelOf(userId) >= level) return
    const before = power.powerLevelsEvent?.content ?? {}
    const needed = requiredPowerLevel(power.levels, POWER_LEVELS, true)
    // Creators of newer versions are above all levels: nobody can be given theirs.
    const given = level === CREATOR_POWER_LEVEL ? Math.max(FULL_POWER, needed) : level
    const users = isJsonObject(before['users']) ? before['users'] : {}
    const content = { ...before, users: { ...users, [userId]: given } }
    await this.#deps.sender.send({ userId: admin }, { roomId, type: POWER_LEVELS, stateKey: '', content })
  }
}
