import { NO_EVENT_FILTER } from '../../protocol/event-filter.js'
import { inFirstForm } from '../../protocol/first-event-form.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { formatPaginationToken } from '../../protocol/pagination-token.js'
import type { Database } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { PublicRoomsStore } from '../../storage/stores/public-rooms.js'
import type { JsonObject } from '../../util/json.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { EventAggregations } from '../events/relations.js'
import type { RoomAccess } from '../events/room-access.js'
import { positionBefore, type VisibleTimeline } from '../events/visible-timeline.js'
import type { Presence } from '../ephemeral/presence.js'
import type { Receipts } from '../ephemeral/receipts.js'
import type { RoomStateViews } from './room-state-views.js'

interface Parts {
  readonly access: RoomAccess
  readonly timeline: VisibleTimeline
  readonly clientEvents: ClientEvents
  readonly aggregations: EventAggregations
  readonly stateViews: RoomStateViews
  readonly publicRooms: PublicRoomsStore
  readonly accountData: AccountDataStore
  readonly members: Pick<RoomMembersStore, 'getMany' | 'sampleMembers'>
  /** Absent where nothing passes by. */
  readonly passing?: PassingBy | undefined
}

/** What is said of the moment: who is there, and how far they have read. */
export interface PassingBy {
  readonly presence: Pick<Presence, 'listPresent' | 'listStates'>
  readonly receipts: Pick<Receipts, 'listForRooms'>
}

const MAX_LIMIT = 100
/** In rooms of more members than these, who is offline is left out. */
const MAX_PEOPLE = 100

/** A room at a glance: for looking into rooms that one is not in. */
export class RoomInitialSync {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The body of the answer to a room's `/initialSync`. 403 `M_FORBIDDEN` for rooms that the reader may see nothing of.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3roomsroomidinitialsync
   */
  async get(reader: EventReader, roomId: RoomId, limit: number): Promise<JsonObject> {
    const q = this.#db.reader
    const view = await this.#parts.access.requireView(reader.userId, roomId)
    const ignored = await this.#parts.aggregations.listIgnored(reader.userId)
    const { events, end } = await this.#parts.timeline.read(reader.userId, view, {
      direction: 'b',
      from: { streamOrdering: view.ceiling },
      limit: Math.min(limit, MAX_LIMIT),
      filter: NO_EVENT_FILTER,
      ignored,
    })
    const chronological = events.toReversed()
    const oldest = chronological[0]
    const start = end ?? (oldest ? positionBefore(oldest) : { streamOrdering: view.ceiling })
    const entries = await this.#parts.accountData.getAllForRoom(q, reader.userId, roomId)
    return {
      room_id: roomId,
      ...(view.membership !== undefined && { membership: view.membership }),
      messages: {
        start: formatPaginationToken(start),
        end: formatPaginationToken({ streamOrdering: view.ceiling }),
        chunk: (await this.#parts.clientEvents.serialize({ ...reader, ignored }, chronological)).map(
          inFirstForm,
        ),
      },
      state: (await this.#parts.stateViews.list(reader, roomId)).map(inFirstForm),
      visibility: (await this.#parts.publicRooms.isPublished(q, view.room.roomNid)) ? 'public' : 'private',
      account_data: entries.map(({ type, content }) => ({ type, content })),
      // That is for those who are in the room, and of now.
      ...(view.membership === 'join'
        ? await this.#passingBy(reader.userId, view.room)
        : { presence: [], receipts: [] }),
    }
  }

  async #passingBy(
    userId: UserId,
    room: RoomRecord,
  ): Promise<{ presence: JsonObject[]; receipts: JsonObject[] }> {
    const { passing } = this.#parts
    if (passing === undefined) return { presence: [], receipts: [] }
    const q = this.#db.reader
    const [people, receipts] = await Promise.all([
      this.#people(room),
      passing.receipts.listForRooms(q, [room], {
        since: undefined,
        upTo: Number.MAX_SAFE_INTEGER,
        userId,
      }),
    ])
    return {
      presence: passing.presence.listStates(people).map(withUserId),
      receipts: [...receipts].map(([roomId, content]) => ({ type: 'm.receipt', room_id: roomId, content })),
    }
  }

  /** Whose presence is told: everybody's, or, where many are in the room, that of those who are there. */
  async #people(room: RoomRecord): Promise<UserId[]> {
    const { members, passing } = this.#parts
    const q = this.#db.reader
    const some = await members.sampleMembers(q, [room.roomNid], MAX_PEOPLE + 1)
    if (some.length <= MAX_PEOPLE) return some
    const present = await members.getMany(q, room.roomNid, passing?.presence.listPresent() ?? [])
    return [...present.values()].filter(({ membership }) => membership === 'join').map(({ userId }) => userId)
  }
}

/** Clients of the first versions look for the user in the content. */
function withUserId(event: JsonObject): JsonObject {
  return { ...event, content: { ...(event['content'] as JsonObject), user_id: event['sender']! } }
}
