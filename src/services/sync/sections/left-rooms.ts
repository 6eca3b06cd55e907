import type { Database } from '../../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../../storage/stores/events.js'
import type { JsonObject } from '../../../util/json.js'
import { emptyContent, type RoomContent, type RoomContents, type RoomSpec } from '../room-contents.js'
import type { LeftRoom, SyncFrame } from '../sync-frame.js'

interface Parts {
  readonly contents: RoomContents
  readonly events: EventsStore
}

/**
 * The rooms that the user has left, was thrown out of, or whose invitation they have turned down: up to that point.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3sync
 */
export class LeftRoomsSection {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** By room ID. */
  async load(frame: SyncFrame): Promise<JsonObject> {
    const { left } = frame
    if (left.length === 0) return {}
    const ends = await this.#parts.events.getByNids(
      this.#db.reader,
      left.flatMap(({ last, stay }) => [last.eventNid, stay?.end.eventNid ?? last.eventNid]),
    )
    const specs = left.flatMap((room) => specOf(room, ends) ?? [])
    const read =
      specs.length > 0 ? await this.#parts.contents.load(frame, specs) : new Map<number, RoomContent>()
    const contents = new Map(
      left.map(({ room, last }) => [
        room.roomNid,
        read.get(room.roomNid) ?? membershipOnly(frame, last.streamOrdering, ends.get(last.eventNid)),
      ]),
    )
    const written = await this.#parts.contents.serialize(frame, contents)
    return Object.fromEntries(
      left.map(({ room }) => [room.roomId, { ...written.get(room.roomNid), account_data: { events: [] } }]),
    )
  }
}

/** The state is that at the end of the stay: what comes after is not the user's business any more. */
function specOf(
  { room, last, stay }: LeftRoom,
  ends: ReadonlyMap<number, StoredEvent>,
): RoomSpec | undefined {
  if (stay === undefined) return undefined
  const base = {
    room,
    after: stay.after,
    upTo: last.streamOrdering,
    isMember: false,
    stateUpTo: stay.end.streamOrdering,
    heroes: [],
  }
  if (stay.after !== undefined) return { ...base, state: 'changes' }
  const snapshotNid = ends.get(stay.end.eventNid)?.stateAfter ?? null
  return { ...base, state: 'snapshot', snapshotNid }
}

/** Who was never in the room sees nothing of it but what became of their own membership. */
function membershipOnly(
  { request }: SyncFrame,
  position: number,
  event: StoredEvent | undefined,
): RoomContent {
  const content = emptyContent(position)
  const { timeline } = request.filter.room
  if (event === undefined || timeline.limit === 0 || !timeline.matches(event.event)) return content
  return { ...content, timeline: { ...content.timeline, events: [event] } }
}
