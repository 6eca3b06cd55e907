import { forbidden } from '../../protocol/errors.js'
import { parseRoomId, serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import { roomCreators } from '../../protocol/power-levels.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { RoomState } from '../events/room-state.js'
import type { RoomPower, RoomPowers } from './room-powers.js'

export interface RestrictedJoinsDependencies {
  readonly db: Database
  readonly rooms: RoomsStore
  readonly members: RoomMembersStore
  readonly roomState: RoomState
  readonly powers: RoomPowers
  readonly serverName: ServerName
}

/** Rooms that a join rule may name; more are not looked at. */
const MAX_ALLOWED_ROOMS = 100

/** Lets people into rooms because they are in others. https://spec.matrix.org/latest/client-server-api/#restricted-rooms */
export class RestrictedJoins {
  readonly #deps: RestrictedJoinsDependencies

  constructor(deps: RestrictedJoinsDependencies) {
    this.#deps = deps
  }

  /**
   * The local member in whose name somebody who is neither invited nor in the room may join; undefined where the join
   * rule is not about other rooms. Throws `M_FORBIDDEN` for people who are in none of the rooms that the rule names, or
   * where nobody here has the power to let them in.
   */
  async authorise(room: RoomRecord, userId: UserId): Promise<UserId | undefined> {
    const joinRules = await this.#deps.roomState.getStateEvent(room.roomId, 'm.room.join_rules', '')
    if (joinRules === undefined || !isRestricted(room, joinRules.event.content)) return undefined
    const allowed = allowedRooms(joinRules.event.content)
    if (!(await this.#isInOneOf(userId, allowed))) {
      throw forbidden('You do not belong to any of the required rooms/spaces to join this room.')
    }
    const authorising = await this.#findAuthorising(room)
    if (authorising === undefined) throw forbidden('Nobody of this server may let you into the room.')
    return authorising
  }

  async #isInOneOf(userId: UserId, roomIds: readonly RoomId[]): Promise<boolean> {
    const { db, rooms, members } = this.#deps
    if (roomIds.length === 0) return false
    const known = await rooms.getByIds(db.reader, roomIds)
    const nids = [...known.values()].map((room) => room.roomNid)
    return members.isJoinedToAny(db.reader, userId, nids)
  }

  /** The most powerful member of this server, if they may invite. */
  async #findAuthorising(room: RoomRecord): Promise<UserId | undefined> {
    const power = await this.#deps.powers.get(room)
    const named = this.#namedUsers(room, power)
    const { db, members } = this.#deps
    const records = await members.getMany(db.reader, room.roomNid, named)
    const joined = named.filter((userId) => records.get(userId)?.membership === 'join')
    // Whoever is not named has the default level: one of them is enough.
    const sampled =
      power.levels.usersDefault >= power.levels.invite
        ? await members.sampleLocalMembers(db.reader, room.roomNid, named.length + 1)
        : []
    const candidates = [...joined, ...sampled].sort((a, b) => {
      const [levelA, levelB] = [power.levelOf(a), power.levelOf(b)]
      return levelA === levelB ? 0 : levelB > levelA ? 1 : -1
    })
    const [strongest] = candidates
    if (strongest === undefined || power.levelOf(strongest) < power.levels.invite) return undefined
    return strongest
  }

  /** Users of this server who have a level of their own. */
  #namedUsers(room: RoomRecord, power: RoomPower): UserId[] {
    const users = power.powerLevelsEvent?.content['users']
    const named = new Set(isJsonObject(users) ? Object.keys(users) : [])
    if (power.create) for (const creator of roomCreators(room.rules, power.create)) named.add(creator)
    return [...named].filter((userId) => serverNameOf(userId) === this.#deps.serverName) as UserId[]
  }
}

/** Whether the content of a room's join rules lets people in because they are in other rooms. */
export function isRestricted({ rules }: Pick<RoomRecord, 'rules'>, content: JsonObject): boolean {
  const rule = content['join_rule']
  return (rule === 'restricted' && rules.restricted) || (rule === 'knock_restricted' && rules.knockRestricted)
}

/** The rooms that a join rule names. Conditions of other kinds, and what is no condition, let nobody in. */
export function allowedRooms(content: JsonObject): RoomId[] {
  const { allow } = content
  if (!Array.isArray(allow)) return []
  return allow.slice(0, MAX_ALLOWED_ROOMS).flatMap((condition) => {
    if (!isJsonObject(condition) || condition['type'] !== 'm.room_membership') return []
    const { room_id: roomId } = condition
    return typeof roomId === 'string' ? (parseRoomId(roomId) ?? []) : []
  })
}
