import { localpartOf, type RoomId, type UserId } from '../../protocol/ids.js'
import type { BulkCache, CacheRegistry } from '../../storage/cache-registry.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import { WordIndex } from '../../util/word-index.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'

/** Somebody whose name is in a text, and which of their names. */
export interface NamedMember {
  readonly userId: UserId
  readonly by: 'displayName' | 'localpart'
}

export interface MemberNamesDependencies {
  readonly db: Database
  readonly members: Pick<RoomMembersStore, 'listForRoom'>
  readonly caches: CacheRegistry
}

/** Names in all rooms that are remembered. */
const MAX_NAMES = 500_000

/** What the members of rooms that are of this server are called, as far as they have joined. */
export class MemberNames implements PositionSink {
  readonly #deps: MemberNamesDependencies
  readonly #indexes: BulkCache<RoomId, WordIndex<NamedMember>>

  constructor(deps: MemberNamesDependencies) {
    this.#deps = deps
    this.#indexes = deps.caches.create({
      name: 'member_names',
      maxSize: MAX_NAMES,
      sizeOf: (index) => index.size + 1,
    })
  }

  /** The members whose display name in the room or localpart stands in a text; once for each of the two. */
  async find(room: RoomRecord, text: string): Promise<NamedMember[]> {
    const { roomId } = room
    const index = this.#indexes.peek(roomId) ?? (await this.#indexes.get(roomId, () => this.#load(room)))
    return index ? [...index.find(text)] : []
  }

  /** Forgets the names in rooms where members have changed. */
  onNewPosition(stream: StreamName, { rooms = [], users = [] }: PositionHints): void {
    if (stream === 'events' && users.length > 0) for (const roomId of rooms) this.#indexes.delete(roomId)
  }

  async #load({ roomNid }: RoomRecord): Promise<WordIndex<NamedMember>> {
    const { db, members } = this.#deps
    const joined = await members.listForRoom(db.reader, roomNid, ['join'], { localOnly: true })
    return new WordIndex(
      joined.flatMap(({ userId, displayName = '' }): [string, NamedMember][] => [
        [localpartOf(userId), { userId, by: 'localpart' }],
        [displayName, { userId, by: 'displayName' }],
      ]),
    )
  }
}
