import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import { BatchedLookup } from '../../util/batched-lookup.js'
import { totalUnread, type RoomUnreadCounts, type UnreadCounts } from '../events/unread-counts.js'
import type { HiddenInviters } from '../sync/hidden-inviters.js'
import type { IgnoredUsers } from '../sync/ignored-users.js'

export interface BadgesDependencies {
  readonly db: Database
  readonly members: Pick<RoomMembersStore, 'listForUsers'>
  readonly unreadCounts: Pick<UnreadCounts, 'forUsers'>
  readonly ignored: Pick<IgnoredUsers, 'of'>
  readonly hiddenInviters: Pick<HiddenInviters, 'of'>
  /** `push.group_unread_count_by_room`: rooms are counted, not messages. */
  readonly countsRooms: boolean
}

/** Users who are counted for together... */
const MAX_BATCH = 100
/** ...as long as they are in no more rooms than this in all: some are in thousands. */
const MAX_ROOMS = 5_000

/** The numbers on the icons of apps. */
export class Badges {
  readonly #deps: BadgesDependencies
  readonly #badges: BatchedLookup<UserId, number>

  constructor(deps: BadgesDependencies) {
    this.#deps = deps
    this.#badges = new BatchedLookup((userIds) => this.#countAll(userIds), { maxItems: MAX_BATCH })
  }

  /**
   * Rooms with unread notifications (or all those), threads included, and open invitations. Those who are asked about at
   * the same time are counted for together.
   */
  async count(userId: UserId): Promise<number> {
    return (await this.#badges.get(userId)) ?? 0
  }

  async #countAll(userIds: readonly UserId[]): Promise<Map<UserId, number>> {
    const { db, members, unreadCounts, ignored, hiddenInviters } = this.#deps
    const rooms = await members.listForUsers(db.reader, userIds, ['join', 'invite'])
    const users = await Promise.all(
      userIds.map(async (userId) => {
        const [hidden, inviters] = await Promise.all([ignored.of(userId), hiddenInviters.of(userId)])
        const own = rooms.get(userId) ?? []
        const joined = own.filter(({ membership }) => membership === 'join')
        const invites = own.filter(
          ({ membership, sender }) => membership === 'invite' && !inviters.has(sender),
        )
        const roomNids = joined.map(({ roomNid }) => roomNid)
        return { userId, roomNids, ignored: hidden, invites: invites.length }
      }),
    )
    const badges = new Map<UserId, number>()
    for (const part of partsOf(users)) {
      const counts = await unreadCounts.forUsers(db.reader, part)
      for (const { userId, invites } of part) {
        badges.set(userId, invites + this.#sum(counts.get(userId)?.values() ?? []))
      }
    }
    return badges
  }

  #sum(rooms: Iterable<RoomUnreadCounts>): number {
    let sum = 0
    for (const room of rooms) {
      const { notifications } = totalUnread(room)
      sum += this.#deps.countsRooms ? Math.min(notifications, 1) : notifications
    }
    return sum
  }
}

/** The users in order, in parts with so many rooms at most; who alone is in more is a part. */
function partsOf<T extends { readonly roomNids: readonly number[] }>(users: readonly T[]): T[][] {
  const parts: T[][] = []
  let left = 0
  for (const user of users) {
    const last = parts.at(-1)
    if (last === undefined || user.roomNids.length > left) {
      parts.push([user])
      left = MAX_ROOMS - user.roomNids.length
    } else {
      last.push(user)
      left -= user.roomNids.length
    }
  }
  return parts
}
