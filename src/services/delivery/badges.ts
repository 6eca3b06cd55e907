import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import { totalUnread, type UnreadCounts } from '../events/unread-counts.js'
import type { HiddenInviters } from '../sync/hidden-inviters.js'
import type { IgnoredUsers } from '../sync/ignored-users.js'

export interface BadgesDependencies {
  readonly db: Database
  readonly members: Pick<RoomMembersStore, 'listForUser'>
  readonly unreadCounts: Pick<UnreadCounts, 'forRooms'>
  readonly ignored: Pick<IgnoredUsers, 'of'>
  readonly hiddenInviters: Pick<HiddenInviters, 'of'>
  /** `push.group_unread_count_by_room`: rooms are counted, not messages. */
  readonly countsRooms: boolean
}

/** The numbers on the icons of apps. */
export class Badges {
  readonly #deps: BadgesDependencies

  constructor(deps: BadgesDependencies) {
    this.#deps = deps
  }

  /** Rooms with unread notifications (or all those), threads included, and open invitations. */
  async count(userId: UserId): Promise<number> {
    const { db, members, unreadCounts, ignored, hiddenInviters, countsRooms } = this.#deps
    const [hidden, inviters] = await Promise.all([ignored.of(userId), hiddenInviters.of(userId)])
    const rooms = await members.listForUser(db.reader, userId, ['join', 'invite'])
    const joined = rooms.filter(({ membership }) => membership === 'join').map(({ roomNid }) => roomNid)
    const invites = rooms.filter(({ membership, sender }) => membership === 'invite' && !inviters.has(sender))
    const counts = await unreadCounts.forRooms(db.reader, userId, joined, { ignored: hidden })
    let badge = invites.length
    for (const room of counts.values()) {
      const { notifications } = totalUnread(room)
      badge += countsRooms ? Math.min(notifications, 1) : notifications
    }
    return badge
  }
}
