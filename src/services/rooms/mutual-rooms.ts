import { invalidParam } from '../../protocol/errors.js'
import { isCompliantUserId, parseUserId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'

export interface MutualRoomsDependencies {
  readonly db: Database
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
}

export interface MutualRoomsPage {
  readonly joined: readonly RoomId[]
  /** Of all pages. */
  readonly count: number
  readonly nextBatch: string | undefined
}

const PAGE_SIZE = 100
const TOKEN = /^m(\d{1,15})$/

/** Which rooms two people are both in. https://spec.matrix.org/latest/client-server-api/#mutual-rooms */
export class MutualRooms {
  readonly #deps: MutualRoomsDependencies

  constructor(deps: MutualRoomsDependencies) {
    this.#deps = deps
  }

  /** Throws `M_INVALID_PARAM` for what is no user ID, for the user themselves, and for tokens that are none. */
  async list(userId: UserId, other: string, from: string | undefined): Promise<MutualRoomsPage> {
    const { db, members, rooms } = this.#deps
    const otherId = parseUserId(other)
    if (otherId === undefined || !isCompliantUserId(otherId))
      throw invalidParam('user_id is not a valid user ID')
    if (otherId === userId) throw invalidParam('You cannot request rooms in common with yourself')
    const after = from === undefined ? 0 : parseToken(from)
    const found = await members.listMutualRooms(db.reader, [userId, otherId], { after, limit: PAGE_SIZE + 1 })
    const page = found.roomNids.slice(0, PAGE_SIZE)
    const records = await rooms.getByNids(db.reader, page)
    const hasMore = found.roomNids.length > PAGE_SIZE
    return {
      joined: page.flatMap((roomNid) => records.get(roomNid)?.roomId ?? []),
      count: found.total,
      nextBatch: hasMore ? `m${String(page.at(-1))}` : undefined,
    }
  }
}

function parseToken(token: string): number {
  const place = TOKEN.exec(token)?.[1]
  if (place === undefined) throw invalidParam('from is not a valid token')
  return Number(place)
}
