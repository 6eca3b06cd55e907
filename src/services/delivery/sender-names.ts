import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { NotificationsStore, RoomMemberKey } from '../../storage/stores/notifications.js'
import { BatchedLookup } from '../../util/batched-lookup.js'

const MAX_BATCH = 200

/** What senders are called in their rooms. Of an event that many are told of at the same time it is read once. */
export class SenderNames {
  readonly #names: BatchedLookup<string, string>

  constructor(parts: {
    readonly db: Database
    readonly notifications: Pick<NotificationsStore, 'getDisplayNames'>
  }) {
    const load = async (keys: readonly string[]): Promise<Map<string, string>> => {
      const names = new Map<string, string>()
      const found = await parts.notifications.getDisplayNames(parts.db.reader, keys.map(memberOf))
      for (const [userId, rooms] of found) {
        for (const [roomNid, name] of rooms) names.set(keyOf(roomNid, userId), name)
      }
      return names
    }
    this.#names = new BatchedLookup(load, { maxItems: MAX_BATCH })
  }

  /** The display name in the room; undefined where there is none. */
  get(roomNid: number, userId: UserId): Promise<string | undefined> {
    return this.#names.get(keyOf(roomNid, userId))
  }
}

function keyOf(roomNid: number, userId: string): string {
  return `${roomNid} ${userId}`
}

function memberOf(key: string): RoomMemberKey {
  const space = key.indexOf(' ')
  return { roomNid: Number(key.slice(0, space)), userId: key.slice(space + 1) as UserId }
}
