import type { Query } from '../../storage/database.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { RoomSummariesStore } from '../../storage/stores/room-summaries.js'
import type { UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/** What clients need to show a room in a list. `heroes` is undefined for rooms that have a name of their own. */
export interface RoomSummary {
  readonly joined: number
  readonly invited: number
  readonly heroes: readonly UserId[] | undefined
}

interface Parts {
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
  readonly summaries: RoomSummariesStore
}

/** The specification asks for five. */
const MAX_HEROES = 5
const PRESENT = ['join', 'invite']
const GONE = ['leave', 'ban']

/** Summaries of rooms: counts of members, and who gives a room without a name its name. */
export class RoomSummaries {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** By nid, in a constant number of statements. */
  async load(q: Query, userId: UserId, roomNids: readonly number[]): Promise<Map<number, RoomSummary>> {
    if (roomNids.length === 0) return new Map()
    const counts = await this.#parts.summaries.getCounts(q, roomNids)
    const named = await this.#listNamed(q, roomNids)
    const unnamed = roomNids.filter((roomNid) => !named.has(roomNid))
    const heroes = await this.#listHeroes(q, userId, unnamed)
    return new Map(
      roomNids.map((roomNid) => {
        const { joined, invited } = counts.get(roomNid) ?? { joined: 0, invited: 0 }
        const summary = {
          joined,
          invited,
          heroes: named.has(roomNid) ? undefined : (heroes.get(roomNid) ?? []),
        }
        return [roomNid, summary]
      }),
    )
  }

  async #listNamed(q: Query, roomNids: readonly number[]): Promise<ReadonlySet<number>> {
    const entries = await this.#parts.currentState.getForRooms(q, roomNids, [
      ['m.room.name', ''],
      ['m.room.canonical_alias', ''],
    ])
    const events = await this.#parts.events.getByNids(
      q,
      entries.map(({ eventNid }) => eventNid),
    )
    return new Set([...events.values()].filter(namesRoom).map(({ roomNid }) => roomNid))
  }

  async #listHeroes(q: Query, userId: UserId, roomNids: readonly number[]): Promise<Map<number, UserId[]>> {
    const { summaries } = this.#parts
    const limits = { except: userId, limit: MAX_HEROES }
    const present = await summaries.listHeroes(q, { ...limits, roomNids, memberships: PRESENT })
    const empty = roomNids.filter((roomNid) => !present.has(roomNid))
    const gone = await summaries.listHeroes(q, { ...limits, roomNids: empty, memberships: GONE })
    return new Map([...present, ...gone])
  }
}

/** As clients are given it. */
export function summaryJson({ joined, invited, heroes }: RoomSummary): JsonObject {
  return {
    ...(heroes && { 'm.heroes': [...heroes] }),
    'm.joined_member_count': joined,
    'm.invited_member_count': invited,
  }
}

function namesRoom({ event }: StoredEvent): boolean {
  const name = event.content[event.type === 'm.room.name' ? 'name' : 'alias']
  return typeof name === 'string' && name !== ''
}
