import type { UserId } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomSummariesStore } from '../../storage/stores/room-summaries.js'

export interface RoomNamesDependencies {
  readonly db: Database
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
  readonly members: RoomMembersStore
  readonly summaries: RoomSummariesStore
}

/** What a room is called. */
export interface RoomName {
  /** Its own name, its alias, or who else is in it. */
  readonly name: string | undefined
  readonly alias: string | undefined
  /** It has a name or an alias of its own. */
  readonly isOwn: boolean
}

const NAME_KEYS = [
  ['m.room.name', ''],
  ['m.room.canonical_alias', ''],
] as const
const MAX_HEROES = 3

/** What rooms are called, for people who cannot see them just now. */
export class RoomNames {
  readonly #deps: RoomNamesDependencies

  constructor(deps: RoomNamesDependencies) {
    this.#deps = deps
  }

  /** https://spec.matrix.org/latest/client-server-api/#calculating-the-display-name-for-a-room */
  async get(userId: UserId, roomNid: number): Promise<RoomName> {
    const q = this.#deps.db.reader
    const entries = await this.#deps.currentState.getForRooms(q, [roomNid], NAME_KEYS)
    const events = await this.#deps.events.getByNids(
      q,
      entries.map(({ eventNid }) => eventNid),
    )
    const text = (type: string, key: string): string | undefined => {
      const stored = [...events.values()].find(({ event }) => event.type === type)
      const value = stored?.event.content[key]
      return typeof value === 'string' && value !== '' ? value : undefined
    }
    const alias = text('m.room.canonical_alias', 'alias')
    const own = text('m.room.name', 'name') ?? alias
    return { name: own ?? (await this.#nameOfMembers(q, userId, roomNid)), alias, isOwn: own !== undefined }
  }

  async #nameOfMembers(q: Query, userId: UserId, roomNid: number): Promise<string | undefined> {
    const { members, summaries } = this.#deps
    const memberships = ['join', 'invite']
    const of = { roomNids: [roomNid], memberships, except: userId, limit: MAX_HEROES }
    const heroes = (await summaries.listHeroes(q, of)).get(roomNid) ?? []
    if (heroes.length === 0) return undefined
    const records = await members.getMany(q, roomNid, heroes)
    const names = heroes.map((hero) => records.get(hero)?.displayName ?? hero)
    const counts = (await summaries.getCounts(q, [roomNid])).get(roomNid)
    const others = (counts?.joined ?? 0) + (counts?.invited ?? 0) - 1 - names.length
    if (others > 0) return `${names.join(', ')} and ${others} ${others === 1 ? 'other' : 'others'}`
    const last = names.at(-1) ?? ''
    return names.length === 1 ? last : `${names.slice(0, -1).join(', ')} and ${last}`
  }
}
