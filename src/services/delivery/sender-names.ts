import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import { BatchedLookup } from '../../util/batched-lookup.js'

const MAX_BATCH = 200

/** What senders are called in their rooms. Of an event that many are told of at the same time it is read once. */
export class SenderNames {
  readonly #names: BatchedLookup<string, string>

  constructor({ db, members }: { db: Database; members: Pick<RoomMembersStore, 'getMany'> }) {
    const load = async (keys: readonly string[]): Promise<Map<string, string>> => {
      const names = new Map<string, string>()
      for (const [roomNid, userIds] of byRoom(keys)) {
        for (const [userId, { displayName }] of await members.getMany(db.reader, roomNid, userIds)) {
          if (displayName !== undefined) names.set(keyOf(roomNid, userId), displayName)
        }
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

function byRoom(keys: readonly string[]): Map<number, string[]> {
  const rooms = new Map<number, string[]>()
  for (const key of keys) {
    const space = key.indexOf(' ')
    const roomNid = Number(key.slice(0, space))
    rooms.set(roomNid, [...(rooms.get(roomNid) ?? []), key.slice(space + 1)])
  }
  return rooms
}
