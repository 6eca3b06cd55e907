import { MatrixError } from '../../protocol/errors.js'
import { inFirstForm } from '../../protocol/first-event-form.js'
import { parseFilter } from '../../protocol/event-filter.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { formatStreamToken, type StreamToken } from '../../protocol/stream-token.js'
import type { Database } from '../../storage/database.js'
import type { PublicRoomsStore } from '../../storage/stores/public-rooms.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { Notifier } from '../streams/notifier.js'
import type { SyncRequest } from './sync-request.js'
import type { Sync } from './sync.js'

interface Parts {
  readonly sync: Pick<Sync, 'wait'>
  readonly notifier: Pick<Notifier, 'currentToken'>
  readonly rooms: RoomsStore
  readonly publicRooms: PublicRoomsStore
}

/** What rooms are under in an answer of `/sync`, and the membership that this means. */
const SECTIONS = { join: 'join', invite: 'invite', knock: 'knock', leave: 'leave' } as const

/** How many events of a room one answer of `/events` holds. */
const MAX_EVENTS = 100

/**
 * What clients of the first versions ask instead of `/sync`: its answers in another form. No message for a device is
 * among them, so that none counts as delivered.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3events
 */
export class OldSync {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The body of the answer to `/initialSync`.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3initialsync
   */
  async initialSync(
    { userId, deviceId }: Requester,
    { limit, includeLeft }: { limit: number; includeLeft: boolean },
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const filter = { room: { include_leave: includeLeft, timeline: { limit } } }
    const answer = await this.#sync({ userId, deviceId, filter, since: undefined, timeoutMs: 0 }, signal)
    const shown = roomsOf(answer).filter(({ section }) => includeLeft || section !== 'leave')
    const published = await this.#published(shown.map(({ roomId }) => roomId))
    return {
      end: answer['next_batch']!,
      presence: presenceOf(answer),
      // Push rules are no account data for those clients.
      account_data: listAt(answer, 'account_data', 'events').filter(({ type }) => type !== 'm.push_rules'),
      receipts: shown.flatMap(({ roomId, room }) =>
        listAt(room, 'ephemeral', 'events')
          .filter(({ type }) => type === 'm.receipt')
          .map((event) => ({ ...event, room_id: roomId })),
      ),
      rooms: shown.map(({ roomId, section, room }) =>
        section === 'invite' || section === 'knock'
          ? describeInvitation(roomId, section, room)
          : describeRoom({
              roomId,
              room,
              userId,
              end: answer['next_batch']!,
              isPublic: published.has(roomId),
            }),
      ),
    }
  }

  /**
   * The body of the answer to `/events`, as soon as there is something or the time is over. Guests may only look into
   * single rooms: `M_GUEST_ACCESS_FORBIDDEN`.
   */
  async listEvents(
    { userId, deviceId, isGuest }: Requester,
    { from, timeoutMs }: { from: StreamToken | undefined; timeoutMs: number },
    signal: AbortSignal,
  ): Promise<JsonObject> {
    if (isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests must specify a room ID')
    const since = from ?? this.#parts.notifier.currentToken()
    const filter = { room: { timeline: { limit: MAX_EVENTS } } }
    const answer = await this.#sync({ userId, deviceId, filter, since, timeoutMs }, signal)
    const chunk = roomsOf(answer).flatMap(({ roomId, section, room }) =>
      [
        ...(section === 'invite' ? listAt(room, 'invite_state', 'events').slice(-1) : []),
        ...listAt(room, 'timeline', 'events'),
        ...listAt(room, 'ephemeral', 'events'),
        ...listAt(room, 'account_data', 'events'),
      ].map((event) => inFirstForm({ ...event, room_id: roomId })),
    )
    return {
      start: formatStreamToken(since),
      end: answer['next_batch']!,
      chunk: [...chunk, ...listAt(answer, 'account_data', 'events'), ...presenceOf(answer)],
    }
  }

  #sync(
    wish: Pick<Requester, 'userId' | 'deviceId'> & {
      filter: JsonObject
      since: StreamToken | undefined
      timeoutMs: number
    },
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const request: SyncRequest = {
      viewer: { userId: wish.userId, deviceId: undefined },
      presentDeviceId: wish.deviceId,
      filter: parseFilter(wish.filter),
      since: wish.since,
      fullState: false,
      timeoutMs: wish.timeoutMs,
      setPresence: 'online',
      // As it is, not as it was before the events that are shown.
      stateAfterNames: ['state'],
    }
    return this.#parts.sync.wait(request, signal)
  }

  async #published(roomIds: readonly RoomId[]): Promise<Set<RoomId>> {
    const q = this.#db.reader
    const records = [...(await this.#parts.rooms.getByIds(q, roomIds)).values()]
    const nids = new Set(
      await this.#parts.publicRooms.filterPublished(
        q,
        records.map(({ roomNid }) => roomNid),
      ),
    )
    return new Set(records.filter(({ roomNid }) => nids.has(roomNid)).map(({ roomId }) => roomId))
  }
}

interface SectionedRoom {
  readonly roomId: RoomId
  readonly section: keyof typeof SECTIONS
  readonly room: JsonObject
}

function roomsOf(answer: JsonObject): SectionedRoom[] {
  const sections = objectAt(answer, 'rooms')
  return Object.values(SECTIONS).flatMap((section) =>
    Object.entries(objectAt(sections, section)).map(([roomId, room]) => ({
      roomId: roomId as RoomId,
      section,
      room: isJsonObject(room) ? room : {},
    })),
  )
}

function describeInvitation(roomId: RoomId, section: 'invite' | 'knock', room: JsonObject): JsonObject {
  // The member event comes last, and whole.
  const member = listAt(room, `${section}_state`, 'events').at(-1)
  return {
    room_id: roomId,
    membership: section,
    ...(section === 'invite' && member && { invite: inFirstForm({ ...member, room_id: roomId }) }),
  }
}

function describeRoom(wish: {
  roomId: RoomId
  room: JsonObject
  userId: UserId
  end: JsonValue
  isPublic: boolean
}): JsonObject {
  const { roomId, room, userId, end, isPublic } = wish
  const inRoom = (event: JsonObject): JsonObject => inFirstForm({ ...event, room_id: roomId })
  const timeline = objectAt(room, 'timeline')
  const state = listAt(room, 'state', 'events').map(inRoom)
  const own = state.find((event) => event['type'] === 'm.room.member' && event['state_key'] === userId)
  return {
    room_id: roomId,
    membership: objectAt(own ?? {}, 'content')['membership'] ?? 'leave',
    messages: {
      ...(timeline['prev_batch'] !== undefined && { start: timeline['prev_batch'] }),
      end,
      chunk: listAt(room, 'timeline', 'events').map(inRoom),
    },
    state,
    visibility: isPublic ? 'public' : 'private',
    account_data: listAt(room, 'account_data', 'events'),
  }
}

/** With the user in the content, where those clients look for it. */
function presenceOf(answer: JsonObject): JsonObject[] {
  return listAt(answer, 'presence', 'events').map((event) => ({
    ...event,
    content: {
      ...objectAt(event, 'content'),
      ...(event['sender'] !== undefined && { user_id: event['sender'] }),
    },
  }))
}

function objectAt(json: JsonObject, key: string): JsonObject {
  const value = json[key]
  return isJsonObject(value) ? value : {}
}

function listAt(json: JsonObject, key: string, list: string): JsonObject[] {
  const value = objectAt(json, key)[list]
  return Array.isArray(value) ? value.filter(isJsonObject) : []
}
