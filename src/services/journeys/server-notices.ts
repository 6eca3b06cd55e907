import { invalidParam, MatrixError, notFound } from '../../protocol/errors.js'
import {
  serverNameOf,
  userIdOf,
  type EventId,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { Membership, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import type { AccountData } from '../accounts/account-data.js'
import { actingFor, type Requester } from '../accounts/requester.js'
import type { EventSender } from '../events/event-sender.js'
import type { RoomCreation } from '../rooms/room-creation.js'
import type { RoomMembership } from '../rooms/room-membership.js'

/** Who speaks for the server, and in what rooms. */
export interface ServerNoticesOptions {
  readonly serverName: ServerName
  /** Undefined where the configuration has no `server_notices`. */
  readonly sender:
    | {
        readonly localpart: string
        readonly displayName: string | undefined
        readonly avatarUrl: string | undefined
      }
    | undefined
  readonly room:
    | {
        readonly name: string
        readonly avatarUrl: string | undefined
        readonly topic: string | undefined
        readonly autoJoin: boolean
      }
    | undefined
}

/** What is to be said. */
export interface Notice {
  readonly type: string
  readonly stateKey?: string | undefined
  readonly content: JsonObject
}

export interface ServerNoticesDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly users: UsersStore
  readonly profiles: ProfilesStore
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
  readonly accountData: Pick<AccountData, 'setTag'>
  readonly creation: Pick<RoomCreation, 'create'>
  readonly membership: Pick<RoomMembership, 'invite' | 'join'>
  readonly sender: Pick<EventSender, 'send'>
  readonly options: ServerNoticesOptions
}

/** Only the server speaks there: everybody else is below the level that sending takes. */
const SILENT_USERS = { users_default: -10 }
const NOTICE_TAG = 'm.server_notice'

/**
 * Tells users what the server has to say, each in a room of their own that is tagged as such.
 * https://spec.matrix.org/latest/client-server-api/#server-notices
 */
export class ServerNotices {
  readonly #deps: ServerNoticesDependencies
  /** One notice after the other for each user, so that there is one room. */
  readonly #locks = new KeyedMutex()

  constructor(deps: ServerNoticesDependencies) {
    this.#deps = deps
  }

  /**
   * Sends a notice, and invites the user again who has left. Throws 400 `M_UNKNOWN` where notices are not configured,
   * `M_INVALID_PARAM` for users of other servers, `M_NOT_FOUND` for users that are not there, and what sending throws.
   */
  async send(userId: UserId, { type, stateKey, content }: Notice): Promise<EventId> {
    const { db, users, options, sender } = this.#deps
    if (options.sender === undefined) {
      throw new MatrixError('M_UNKNOWN', 'Server notices are not enabled on this server', { status: 400 })
    }
    if (serverNameOf(userId) !== options.serverName) {
      throw invalidParam('Server notices can only be sent to local users')
    }
    const user = await users.get(db.reader, userId)
    if (user === undefined || user.isDeactivated) throw notFound('User not found')
    return this.#locks.run(userId, async () => {
      const server = await this.#requireSender()
      const roomId = await this.#reach(server, user)
      const draft = { roomId, type, content, ...(stateKey !== undefined && { stateKey }) }
      return sender.send({ userId: server.userId, deviceId: undefined }, draft)
    })
  }

  /** The room in which a user has notices, or had them last; undefined: there is none. */
  async findRoom(userId: UserId): Promise<RoomId | undefined> {
    const { db, members, rooms, options } = this.#deps
    if (options.sender === undefined) return undefined
    const server = userIdOf(options.sender.localpart, options.serverName)
    const shared = await members.findShared(db.reader, server, userId)
    return shared && (await rooms.getByNids(db.reader, [shared.roomNid])).get(shared.roomNid)?.roomId
  }

  /** The account that speaks for the server: made at the first notice, without a way to log in. */
  async #requireSender(): Promise<Requester> {
    const { db, clock, users, profiles, options } = this.#deps
    const { localpart = '', displayName, avatarUrl } = options.sender ?? {}
    const userId = userIdOf(localpart, options.serverName)
    const known = await users.get(db.reader, userId)
    if (known === undefined) {
      await db.write('make_notices_user', async (tx) => {
        const isNew = await users.insert(tx, { userId, passwordHash: undefined, createdTs: clock.now() })
        if (isNew) await profiles.put(tx, userId, { displayName, avatarUrl, fields: {} })
      })
    }
    return actingFor({ userId, isGuest: false })
  }

  /** The user's room for notices, with the user in it or invited. */
  async #reach(server: Requester, user: { userId: UserId; isGuest: boolean }): Promise<RoomId> {
    const { db, members, rooms } = this.#deps
    const shared = await members.findShared(db.reader, server.userId, user.userId)
    const room = shared && (await rooms.getByNids(db.reader, [shared.roomNid])).get(shared.roomNid)
    if (shared === undefined || room === undefined) return this.#makeRoom(server, user)
    await this.#bringIn(server, user, { roomId: room.roomId, before: shared.membership })
    return room.roomId
  }

  async #makeRoom(server: Requester, user: { userId: UserId; isGuest: boolean }): Promise<RoomId> {
    const { creation, accountData, options } = this.#deps
    const { name, topic, avatarUrl } = options.room ?? {}
    const { roomId } = await creation.create(server, {
      preset: 'private_chat',
      name,
      topic,
      creationContent: { 'm.federate': false },
      powerLevelContentOverride: SILENT_USERS,
      initialState:
        avatarUrl === undefined ? [] : [{ type: 'm.room.avatar', stateKey: '', content: { url: avatarUrl } }],
    })
    const { userId } = user
    await accountData.setTag(actingFor(user), { userId, roomId }, { tag: NOTICE_TAG, content: {} })
    await this.#bringIn(server, user, { roomId, before: undefined })
    return roomId
  }

  async #bringIn(
    server: Requester,
    user: { userId: UserId; isGuest: boolean },
    { roomId, before }: { roomId: RoomId; before: Membership | undefined },
  ): Promise<void> {
    const { membership, options } = this.#deps
    if (before === 'join') return
    if (before !== 'invite') {
      await membership.invite(server, roomId, { userId: user.userId, reason: undefined, isLimited: false })
    }
    if (options.room?.autoJoin) await membership.join(actingFor(user), roomId, { isLimited: false })
  }
}
