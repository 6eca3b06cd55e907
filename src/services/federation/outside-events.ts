import { forbidden } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonValue } from '../../util/json.js'
import type { OutsideMemberships } from '../events/outside-memberships.js'
import type { OutsideEventHandler } from './inbound-transactions.js'

interface Parts {
  readonly members: Pick<RoomMembersStore, 'get'>
  readonly events: Pick<EventsStore, 'getByNids'>
  readonly outside: Pick<OutsideMemberships, 'store'>
  readonly serverName: ServerName
}

/** Takes in what becomes of invitations and knocks of our users in rooms that this server is not in. */
export class OutsideEvents implements OutsideEventHandler {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * Ends a waiting membership. Who may do that in the room cannot be told from outside, so that an invitation is taken
   * back by who has sent it, and a knock is turned down by users of servers that are known to be in the room: the one
   * that took it, and those of whom it has told. Throws 403 `M_FORBIDDEN` for everything else.
   * https://spec.matrix.org/latest/server-server-api/#auth-events-selection
   */
  async receive(room: RoomRecord, event: Event): Promise<void> {
    const { type, stateKey, content } = event
    const { membership } = content
    const isEnd = type === 'm.room.member' && (membership === 'leave' || membership === 'ban')
    if (!isEnd || stateKey === undefined || serverNameOf(stateKey) !== this.#parts.serverName) {
      throw forbidden('This server is not in the room')
    }
    const waiting = await this.#waiting(room, stateKey as UserId)
    if (!waiting || !mayEnd(event, waiting)) throw forbidden('This server is not in the room')
    await this.#parts.outside.store(room, event)
  }

  /** The user's invitation or knock. */
  async #waiting({ roomNid }: RoomRecord, userId: UserId): Promise<Event | undefined> {
    const member = await this.#parts.members.get(this.#db.reader, roomNid, userId)
    if (member?.membership !== 'invite' && member?.membership !== 'knock') return undefined
    const { eventNid } = member
    return (await this.#parts.events.getByNids(this.#db.reader, [eventNid])).get(eventNid)?.event
  }
}

function mayEnd(end: Event, waiting: Event): boolean {
  // What ends a membership is authorized by it: nobody can use what has ended an earlier one.
  if (!end.authEventIds.includes(waiting.eventId)) return false
  if (waiting.content['membership'] === 'invite') return end.sender === waiting.sender
  return serversBehind(waiting).has(serverNameOf(end.sender))
}

/** The server that has taken a knock, and those of whose users the state is that it gave. */
function serversBehind(knock: Event): Set<string> {
  const { unsigned } = knock.json as { readonly unsigned?: unknown }
  if (!isJsonObject(unsigned)) return new Set()
  const senders = listOf(unsigned['knock_room_state']).flatMap((entry) =>
    isJsonObject(entry) && typeof entry['sender'] === 'string' ? serverNameOf(entry['sender']) : [],
  )
  return new Set([...listOf(unsigned['via']).filter((server) => typeof server === 'string'), ...senders])
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : []
}
