import type { Event } from '../../protocol/event.js'
import type { UserId } from '../../protocol/ids.js'
import { parsePowerLevels, userPowerLevel } from '../../protocol/power-levels.js'
import type { Database } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomSummariesStore } from '../../storage/stores/room-summaries.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { BatchedLookup } from '../../util/batched-lookup.js'

export interface RoomPushFactsDependencies {
  readonly db: Database
  readonly currentState: Pick<CurrentStateStore, 'getForRooms'>
  readonly events: Pick<EventsStore, 'getByNids'>
  readonly summaries: Pick<RoomSummariesStore, 'getCounts'>
}

/** What push rules ask of a room, whoever's they are. */
export interface RoomFacts {
  readonly memberCount: number
  readonly create: Event | undefined
  readonly powerLevels: Event | undefined
}

const POWER_KEYS = [
  ['m.room.create', ''],
  ['m.room.power_levels', ''],
] as const
const MAX_BATCH = 200

/** Reads what push rules ask of rooms: for many users who are told of the same event at the same time once. */
export class RoomPushFacts {
  readonly #deps: RoomPushFactsDependencies
  readonly #rooms: BatchedLookup<number, RoomFacts>

  constructor(deps: RoomPushFactsDependencies) {
    this.#deps = deps
    this.#rooms = new BatchedLookup((roomNids) => this.#read(roomNids), { maxItems: MAX_BATCH })
  }

  /** By nid. */
  get(roomNids: Iterable<number>): Promise<Map<number, RoomFacts>> {
    return this.#rooms.getMany(roomNids)
  }

  async #read(roomNids: readonly number[]): Promise<Map<number, RoomFacts>> {
    const { currentState, events, summaries } = this.#deps
    const q = this.#deps.db.reader
    const counts = await summaries.getCounts(q, roomNids)
    const entries = await currentState.getForRooms(q, roomNids, POWER_KEYS)
    const state = await events.getByNids(
      q,
      entries.map(({ eventNid }) => eventNid),
    )
    const stateOf = (roomNid: number, type: string): Event | undefined => {
      const entry = entries.find((candidate) => candidate.roomNid === roomNid && candidate.type === type)
      return entry && state.get(entry.eventNid)?.event
    }
    return new Map(
      roomNids.map((roomNid) => [
        roomNid,
        {
          memberCount: counts.get(roomNid)?.joined ?? 0,
          create: stateOf(roomNid, 'm.room.create'),
          powerLevels: stateOf(roomNid, 'm.room.power_levels'),
        },
      ]),
    )
  }
}

/**
 * Whether the sender may notify the whole room: `notifications.room` of
 * https://spec.matrix.org/latest/client-server-api/#mroompower_levels
 */
export function mayNotifyRoom(facts: RoomFacts | undefined, room: RoomRecord, sender: UserId): boolean {
  if (facts?.create === undefined) return false
  const levels = parsePowerLevels(room.rules, facts.powerLevels)
  return userPowerLevel(room.rules, levels, facts.create, sender) >= levels.notifications.room
}
