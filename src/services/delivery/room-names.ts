import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { NotificationsStore } from '../../storage/stores/notifications.js'
import type { MemberCounts, RoomSummariesStore } from '../../storage/stores/room-summaries.js'
import { BatchedLookup } from '../../util/batched-lookup.js'

export interface RoomNamesDependencies {
  readonly db: Database
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
  readonly notifications: Pick<NotificationsStore, 'getDisplayNames'>
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
const MAX_BATCH = 200

/** What a room calls itself. */
interface OwnName {
  readonly name: string | undefined
  readonly alias: string | undefined
}

interface NamedMember {
  readonly userId: UserId
  readonly name: string
}

/**
 * What rooms are called, for people who cannot see them just now. Many are told of the same event at the same time: what
 * is the same for all of them is read once.
 */
export class RoomNames {
  readonly #deps: RoomNamesDependencies
  readonly #ownNames: BatchedLookup<number, OwnName>
  readonly #counts: BatchedLookup<number, MemberCounts>
  readonly #firstMembers: BatchedLookup<number, NamedMember[]>

  constructor(deps: RoomNamesDependencies) {
    this.#deps = deps
    this.#ownNames = new BatchedLookup((roomNids) => this.#readOwnNames(roomNids), { maxItems: MAX_BATCH })
    this.#counts = new BatchedLookup((roomNids) => deps.summaries.getCounts(deps.db.reader, roomNids), {
      maxItems: MAX_BATCH,
    })
    this.#firstMembers = new BatchedLookup((roomNids) => this.#readFirstMembers(roomNids), {
      maxItems: MAX_BATCH,
    })
  }

  /** https://spec.matrix.org/latest/client-server-api/#calculating-the-display-name-for-a-room */
  async get(userId: UserId, roomNid: number): Promise<RoomName> {
    const own = await this.#ownNames.get(roomNid)
    const name = own?.name ?? own?.alias
    return {
      name: name ?? (await this.#nameOfMembers(userId, roomNid)),
      alias: own?.alias,
      isOwn: name !== undefined,
    }
  }

  async #readOwnNames(roomNids: readonly number[]): Promise<Map<number, OwnName>> {
    const q = this.#deps.db.reader
    const entries = await this.#deps.currentState.getForRooms(q, roomNids, NAME_KEYS)
    const events = await this.#deps.events.getByNids(
      q,
      entries.map(({ eventNid }) => eventNid),
    )
    const text = (roomNid: number, type: string, key: string): string | undefined => {
      const entry = entries.find((candidate) => candidate.roomNid === roomNid && candidate.type === type)
      const value = entry && events.get(entry.eventNid)?.event.content[key]
      return typeof value === 'string' && value !== '' ? value : undefined
    }
    return new Map(
      roomNids.map((roomNid) => [
        roomNid,
        {
          name: text(roomNid, 'm.room.name', 'name'),
          alias: text(roomNid, 'm.room.canonical_alias', 'alias'),
        },
      ]),
    )
  }

  /** One more than a name is made of: who asks may be among them. */
  async #readFirstMembers(roomNids: readonly number[]): Promise<Map<number, NamedMember[]>> {
    const { db, notifications, summaries } = this.#deps
    const heroes = await summaries.listHeroes(db.reader, {
      roomNids,
      memberships: ['join', 'invite'],
      except: undefined,
      limit: MAX_HEROES + 1,
    })
    const names = await notifications.getDisplayNames(
      db.reader,
      [...heroes].flatMap(([roomNid, userIds]) => userIds.map((userId) => ({ roomNid, userId }))),
    )
    return new Map(
      [...heroes].map(([roomNid, userIds]) => [
        roomNid,
        userIds.map((userId) => ({ userId, name: names.get(userId)?.get(roomNid) ?? userId })),
      ]),
    )
  }

  async #nameOfMembers(userId: UserId, roomNid: number): Promise<string | undefined> {
    const first = (await this.#firstMembers.get(roomNid)) ?? []
    const others = first.filter((member) => member.userId !== userId).slice(0, MAX_HEROES)
    if (others.length === 0) return undefined
    const names = others.map(({ name }) => name)
    const counts = await this.#counts.get(roomNid)
    const unnamed = (counts?.joined ?? 0) + (counts?.invited ?? 0) - 1 - names.length
    if (unnamed > 0) return `${names.join(', ')} and ${unnamed} ${unnamed === 1 ? 'other' : 'others'}`
    const last = names.at(-1) ?? ''
    return names.length === 1 ? last : `${names.slice(0, -1).join(', ')} and ${last}`
  }
}
