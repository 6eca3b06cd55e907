import type { RoomId, UserId } from '../../protocol/ids.js'
import {
  parsePowerLevels,
  requiredPowerLevel,
  userPowerLevel,
  type PowerLevels,
} from '../../protocol/power-levels.js'
import type { Event } from '../../protocol/event.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { Database } from '../../storage/database.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { RoomState } from '../events/room-state.js'

/** Who may do what in one room, as its current state says. */
export interface RoomPower {
  readonly levels: PowerLevels
  readonly create: Event | undefined
  readonly powerLevelsEvent: Event | undefined
  levelOf(userId: UserId): number
}

/** Reads power levels for decisions that no event's authorization makes. */
export class RoomPowers {
  readonly #db: Database
  readonly #roomState: RoomState
  readonly #members: RoomMembersStore

  constructor(db: Database, roomState: RoomState, members: RoomMembersStore) {
    this.#db = db
    this.#roomState = roomState
    this.#members = members
  }

  async get(room: { readonly roomId: RoomId; readonly rules: RoomVersionRules }): Promise<RoomPower> {
    const state = await this.#roomState.getState(room.roomId, ['m.room.create', 'm.room.power_levels'])
    const find = (type: string): Event | undefined =>
      state.find(({ event }) => event.type === type && event.stateKey === '')?.event
    const create = find('m.room.create')
    const powerLevelsEvent = find('m.room.power_levels')
    const levels = parsePowerLevels(room.rules, powerLevelsEvent)
    return {
      levels,
      create,
      powerLevelsEvent,
      levelOf: (userId) => userPowerLevel(room.rules, levels, create, userId),
    }
  }

  /** Whether somebody is in the room and has the power to send state of a type. */
  async maySendState(room: RoomRecord, userId: UserId, type: string): Promise<boolean> {
    const member = await this.#members.get(this.#db.reader, room.roomNid, userId)
    if (member?.membership !== 'join') return false
    const power = await this.get(room)
    return power.levelOf(userId) >= requiredPowerLevel(power.levels, type, true)
  }
}
