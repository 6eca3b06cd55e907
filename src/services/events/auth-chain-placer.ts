import { coverPosition, type AuthChainPosition } from '../../storage/auth-reach.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { GraphSurveyStore } from '../../storage/stores/graph-survey.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { IdAllocator } from '../../storage/streams/sequences.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import { topologicalSort } from '../../protocol/topological-sort.js'

interface Parts {
  readonly graphSurvey: Pick<GraphSurveyStore, 'listEvents' | 'listHeld' | 'listPositioned'>
  readonly events: EventsStore
  readonly chainIds: IdAllocator
}

/** A state event that wants a place. */
interface Unplaced {
  readonly key: StateKey
  /** Those of its auth events that are held. */
  readonly authNids: readonly number[]
  /** A membership from outside of its room, as it seems: only wanted where it authorizes something. */
  readonly standsAlone: boolean
}

/** Events that are read together. */
const BATCH = 500

/** Finds the places of a room's state events in the auth chains out anew, by the rule of `EventAssembler`. */
export class AuthChainPlacer {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** In chains that did not exist before. Only reads; callers hold the room's lock. */
  async place(room: RoomRecord): Promise<Map<number, AuthChainPosition>> {
    const events = await this.#list(room)
    const authorizing = new Set(
      [...events.values()].flatMap(({ authNids, standsAlone }) => (standsAlone ? [] : authNids)),
    )
    const wanted = [...events].filter(([nid, { standsAlone }]) => !standsAlone || authorizing.has(nid))
    const order = topologicalSort(
      wanted.map(([nid]) => nid),
      (nid) => events.get(nid)!.authNids,
      (a, b) => a - b,
    )
    const positions = new Map<number, AuthChainPosition>()
    const tips = new Map<number, number>()
    for (const nid of order) {
      const position = await this.#position(events, nid, { positions, tips })
      tips.set(position.chainNid, position.seq)
      positions.set(nid, position)
    }
    return positions
  }

  async #position(
    events: ReadonlyMap<number, Unplaced>,
    nid: number,
    { positions, tips }: { positions: ReadonlyMap<number, AuthChainPosition>; tips: Map<number, number> },
  ): Promise<AuthChainPosition> {
    const { key, authNids } = events.get(nid)!
    const reach = new Map<number, number>()
    for (const authNid of authNids) {
      const position = positions.get(authNid)
      if (position) coverPosition(reach, position)
    }
    const replaced = authNids.find((authNid) => events.get(authNid)?.key === key)
    const previous = replaced === undefined ? undefined : positions.get(replaced)
    return previous && tips.get(previous.chainNid) === previous.seq
      ? { chainNid: previous.chainNid, seq: previous.seq + 1, reach }
      : { chainNid: await this.#parts.chainIds.next(), seq: 1, reach }
  }

  async #list({ roomNid }: RoomRecord): Promise<Map<number, Unplaced>> {
    const { graphSurvey, events } = this.#parts
    const q = this.#db.reader
    const records = (await graphSurvey.listEvents(q, roomNid)).filter(({ isState }) => isState)
    const listed = new Map<number, Unplaced>()
    for (let start = 0; start < records.length; start += BATCH) {
      const some = records.slice(start, start + BATCH)
      const nids = some.map(({ eventNid }) => eventNid)
      const stored = await events.getByNids(q, nids)
      const positioned = await graphSurvey.listPositioned(q, nids)
      const authIds = [...stored.values()].flatMap(({ event }) => event.authEventIds)
      const authNids = await graphSurvey.listHeld(q, [...new Set(authIds)])
      for (const { eventNid, isPlaced, isCurrent } of some) {
        const event = stored.get(eventNid)?.event
        if (event?.stateKey === undefined) continue
        listed.set(eventNid, {
          key: stateKeyOf(event.type, event.stateKey),
          authNids: event.authEventIds.flatMap((id) => authNids.get(id) ?? []),
          standsAlone: !isPlaced && !isCurrent && !positioned.has(eventNid) && event.type === 'm.room.member',
        })
      }
    }
    return listed
  }
}
