import type { Database } from '../../../storage/database.js'
import type { RoomId } from '../../../protocol/ids.js'
import type { JsonObject } from '../../../util/json.js'
import { pushTo } from '../../../util/group-by.js'
import type { Receipts } from '../../ephemeral/receipts.js'
import type { Typing } from '../../ephemeral/typing.js'
import type { SyncFrame } from '../sync-frame.js'
import type { UserRoom } from '../user-rooms.js'

interface Parts {
  readonly receipts: Pick<Receipts, 'listForRooms'>
  readonly typing: Pick<Typing, 'usersTyping' | 'hasNews' | 'changedRooms'>
}

/** What passes by in joined rooms: who types, and how far people have read. */
export class EphemeralSection {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The events of each room that has any to be told. */
  async load(frame: SyncFrame): Promise<Map<RoomId, JsonObject[]>> {
    const { ephemeral } = frame.request.filter.room
    const events = new Map<RoomId, JsonObject[]>()
    const add = (roomId: RoomId, event: { type: string; content: JsonObject }): void => {
      if (!ephemeral.matches({ ...event, roomId })) return
      pushTo(events, roomId, event)
    }
    if (ephemeral.allowsType('m.typing')) {
      for (const roomId of this.#typingRooms(frame)) {
        add(roomId, { type: 'm.typing', content: { user_ids: this.#parts.typing.usersTyping(roomId) } })
      }
    }
    if (ephemeral.allowsType('m.receipt')) {
      for (const [roomId, content] of await this.#receipts(frame)) add(roomId, { type: 'm.receipt', content })
    }
    return events
  }

  /** Rooms where somebody has begun or stopped; of those that are new to the client, where somebody types or did lately. */
  #typingRooms(frame: SyncFrame): RoomId[] {
    const { joined, since, now } = frame
    const changed = since && this.#parts.typing.changedRooms(since.typing, now.typing)
    if (changed?.size === 0 && !frame.isFull && frame.newlyJoined.size === 0) return []
    return [...joined].flatMap(([roomNid, { room }]) => {
      const isChanged = changed?.has(room.roomId) ?? false
      const isNews = isWhole(frame, roomNid) && this.#parts.typing.hasNews(room.roomId)
      return isChanged || isNews ? [room.roomId] : []
    })
  }

  async #receipts(frame: SyncFrame): Promise<Map<RoomId, JsonObject>> {
    const { joined, since, now, request } = frame
    const whole: UserRoom['room'][] = []
    const followed: UserRoom['room'][] = []
    for (const [roomNid, { room }] of joined) (isWhole(frame, roomNid) ? whole : followed).push(room)
    const range = { upTo: now.receipts, userId: request.viewer.userId }
    const { receipts } = this.#parts
    const changed =
      since && since.receipts < now.receipts && followed.length > 0
        ? await receipts.listForRooms(this.#db.reader, followed, { ...range, since: since.receipts })
        : []
    const all =
      whole.length > 0
        ? await receipts.listForRooms(this.#db.reader, whole, { ...range, since: undefined })
        : []
    return new Map([...changed, ...all])
  }
}

/** Whether the client is told everything about a room. */
function isWhole({ isFull, newlyJoined }: SyncFrame, roomNid: number): boolean {
  return isFull || newlyJoined.has(roomNid)
}
