import {
  parseRoomId,
  parseUserId,
  serverNameOf,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import { roomCreators } from '../../protocol/power-levels.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { RoomState } from '../events/room-state.js'
import type { JoinJudgement } from '../federation/resident-handshakes.js'
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
/** Servers that are named for one room. */
const MAX_SERVERS = 20

/** Lets people into rooms because they are in others. https://spec.matrix.org/latest/client-server-api/#restricted-rooms */
export class RestrictedJoins {
  readonly #deps: RestrictedJoinsDependencies

  constructor(deps: RestrictedJoinsDependencies) {
    this.#deps = deps
  }

  /** Whether somebody who is neither invited nor in the room may join it because of other rooms. */
  async judge(room: RoomRecord, userId: UserId): Promise<JoinJudgement> {
    const joinRules = await this.#deps.roomState.getStateEvent(room.roomId, 'm.room.join_rules', '')
    if (joinRules === undefined || !isRestricted(room, joinRules.event.content))
      return { kind: 'unrestricted' }
    const { db, rooms, members } = this.#deps
    const allowed = allowedRooms(joinRules.event.content)
    const known = await rooms.getByIds(db.reader, allowed)
    // Of a room that nobody of this server is in any more, it cannot be said who is.
    const observed = await members.filterResident(
      db.reader,
      [...known.values()].map(({ roomNid }) => roomNid),
    )
    if (!(await members.isJoinedToAny(db.reader, userId, [...observed]))) {
      return { kind: observed.size < new Set(allowed).size ? 'unknown' : 'refused' }
    }
    const authorising = await this.#findAuthorising(room)
    return authorising === undefined ? { kind: 'powerless' } : { kind: 'authorised', by: authorising }
  }

  /** The servers of members who may invite, and so let people in: for those whom nobody of this server may let in. */
  async listAuthorisingServers(room: RoomRecord): Promise<ServerName[]> {
    const { db, members, serverName } = this.#deps
    const power = await this.#deps.powers.get(room)
    const named = namedUsers(room, power)
    const records = await members.getMany(db.reader, room.roomNid, named)
    const powerful = named.filter(
      (userId) => records.get(userId)?.membership === 'join' && power.levelOf(userId) >= power.levels.invite,
    )
    const others =
      power.levels.usersDefault >= power.levels.invite
        ? (await members.listForRoom(db.reader, room.roomNid, ['join'])).map(({ userId }) => userId)
        : []
    const servers = new Set([...powerful, ...others].map(serverNameOf))
    servers.delete(serverName)
    return [...servers].slice(0, MAX_SERVERS)
  }

  /** The most powerful member of this server, if they may invite. */
  async #findAuthorising(room: RoomRecord): Promise<UserId | undefined> {
    const power = await this.#deps.powers.get(room)
    const { db, members, serverName } = this.#deps
    const named = namedUsers(room, power).filter((userId) => serverNameOf(userId) === serverName)
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
}

/** Users who have a level of their own. */
function namedUsers(room: RoomRecord, power: RoomPower): UserId[] {
  const users = power.powerLevelsEvent?.content['users']
  const named = new Set(isJsonObject(users) ? Object.keys(users) : [])
  if (power.create) for (const creator of roomCreators(room.rules, power.create)) named.add(creator)
  return [...named].flatMap((text) => parseUserId(text) ?? [])
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
