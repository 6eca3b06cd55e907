import type { Database, Query } from '../../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../../storage/stores/events.js'
import type { SlidingSyncRoomsStore } from '../../../storage/stores/sliding-sync-rooms.js'
import { stateKeyOf } from '../../../protocol/state-map.js'
import { pruneStrippedState } from '../../../protocol/stripped-state.js'
import { isJsonObject } from '../../../util/json.js'
import type { StatePoints } from '../../events/state-points.js'
import type { RoomActivity } from './room-activity.js'
import type { FilteredRoom } from './room-filters.js'
import { isGone, type VisibleRoom } from './visible-rooms.js'

interface Parts {
  readonly events: EventsStore
  readonly points: StatePoints
  readonly store: Pick<SlidingSyncRoomsStore, 'listWithState'>
  readonly activity: RoomActivity
}

type Facts = NonNullable<FilteredRoom['known']>

const CREATE = 'm.room.create'
const ENCRYPTION = 'm.room.encryption'
const ENCRYPTION_KEY = stateKeyOf(ENCRYPTION, '')

/** What filters ask of rooms, as the user may know it: now, or when they left, or as an invitation says. */
export class RoomFacts {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** By nid; rooms of which nothing is known are left out. */
  async load(rooms: readonly VisibleRoom[], upTo: number): Promise<Map<number, Facts>> {
    const joined = rooms.filter(({ membership }) => membership === 'join')
    const encrypted = await this.#parts.activity.listEncrypted(joined.map(nidOf), upTo)
    const facts = new Map<number, Facts>()
    for (const { room } of joined)
      facts.set(room.roomNid, { isEncrypted: encrypted.has(room.roomNid), roomType: room.roomType })
    const others = rooms.filter(({ membership }) => membership !== 'join')
    if (others.length === 0) return facts
    return this.#db.read('sliding_sync_room_facts', (q) => this.#addOthers(q, others, facts))
  }

  async #addOthers(
    q: Query,
    rooms: readonly VisibleRoom[],
    facts: Map<number, Facts>,
  ): Promise<Map<number, Facts>> {
    const nids = rooms.map(nidOf)
    const [events, held, encrypted] = await Promise.all([
      this.#parts.events.getByNids(
        q,
        rooms.map(({ eventNid }) => eventNid),
      ),
      this.#parts.store.listWithState(q, nids, CREATE),
      this.#parts.store.listWithState(q, nids, ENCRYPTION),
    ])
    const pieces = rooms.flatMap(({ membership, eventNid }) => {
      const snapshotNid = isGone(membership) ? events.get(eventNid)?.stateAfter : undefined
      return typeof snapshotNid === 'number' ? [{ snapshotNid, key: ENCRYPTION_KEY }] : []
    })
    const points = await this.#parts.points.lookUp(q, pieces)
    for (const { room, membership, eventNid } of rooms) {
      const { roomNid, roomType } = room
      const member = events.get(eventNid)
      const snapshotNid = member?.stateAfter ?? undefined
      const received = strippedFacts(member)
      if (isGone(membership) && snapshotNid !== undefined) {
        const isEncrypted = points.get(snapshotNid, ENCRYPTION_KEY) !== undefined
        facts.set(roomNid, { isEncrypted, roomType })
      } else if (received !== undefined) facts.set(roomNid, received)
      else if (held.has(roomNid)) facts.set(roomNid, { isEncrypted: encrypted.has(roomNid), roomType })
    }
    return facts
  }
}

/** What another server has sent along with an invitation or a knock. */
function strippedFacts(member: StoredEvent | undefined): Facts | undefined {
  const unsigned = (member?.event.json as { readonly unsigned?: unknown } | undefined)?.unsigned
  if (!isJsonObject(unsigned)) return undefined
  const state = pruneStrippedState(unsigned['invite_room_state'] ?? unsigned['knock_room_state'])
  const create = state.find(({ type }) => type === CREATE)
  if (create === undefined) return undefined
  const roomType = create.content['type']
  return {
    isEncrypted: state.some(({ type, state_key: key }) => type === ENCRYPTION && key === ''),
    roomType: typeof roomType === 'string' ? roomType : undefined,
  }
}

function nidOf({ room }: VisibleRoom): number {
  return room.roomNid
}
