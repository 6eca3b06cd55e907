import { MatrixError } from '../../protocol/errors.js'
import {
  localpartOf,
  parseRoomAlias,
  parseRoomId,
  serverNameOf,
  userIdOf,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { UserRecord, UsersStore } from '../../storage/stores/users.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import { actingFor } from '../accounts/requester.js'
import type { Aliases } from './aliases.js'
import type { RoomCreation } from './room-creation.js'
import type { RoomMembership } from './room-membership.js'
import type { RoomPreset } from './room-presets.js'

export interface AutoJoinOptions {
  readonly serverName: ServerName
  /** `auto_join_rooms`: aliases and IDs. */
  readonly rooms: readonly string[]
  /** `autocreate_auto_join_rooms`. */
  readonly createsRooms: boolean
  /** `autocreate_auto_join_rooms_federated`. */
  readonly isFederated: boolean
  /** `autocreate_auto_join_room_preset`. */
  readonly preset: RoomPreset
  /** `auto_join_mxid_localpart`: who makes the rooms and invites to those that are not public. */
  readonly inviterLocalpart: string | undefined
}

export interface AutoJoinDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly aliases: Aliases
  readonly creation: RoomCreation
  readonly membership: RoomMembership
  /** Called where a room cannot be joined: the registration goes on. */
  readonly onError: (error: unknown) => void
  readonly options: AutoJoinOptions
}

/** Puts new users into the rooms that the operator wants them in. */
export class AutoJoin {
  readonly #deps: AutoJoinDependencies
  /** So that people who register at once do not make the same room twice. */
  readonly #creating = new KeyedMutex()

  constructor(deps: AutoJoinDependencies) {
    this.#deps = deps
  }

  /** Joins all rooms of the list, and makes those that are missing. Never rejects. */
  async joinAutoJoinRooms(userId: UserId): Promise<void> {
    for (const room of this.#deps.options.rooms) {
      try {
        await this.#join(userId, room)
      } catch (error) {
        this.#deps.onError(error)
      }
    }
  }

  async #join(userId: UserId, room: string): Promise<void> {
    const { db, users, membership } = this.#deps
    const user = await users.get(db.reader, userId)
    if (!user) return
    const roomId = parseRoomId(room) ?? (await this.#findOrCreate(user, room))
    if (roomId === undefined) return
    await this.#inviteIfNeeded(user, roomId)
    await membership.join(actingFor(user), roomId, { isLimited: false })
  }

  async #findOrCreate(user: UserRecord, room: string): Promise<RoomId | undefined> {
    const alias = parseRoomAlias(room)
    if (alias === undefined) throw new Error(`auto_join_rooms has ${room}, which is no room ID or alias`)
    return this.#creating.run(alias, async () => {
      const known = await this.#resolve(alias)
      if (known !== undefined) return known
      return this.#mayCreate(user, alias) ? this.#create(user, alias) : undefined
    })
  }

  async #resolve(alias: RoomAlias): Promise<RoomId | undefined> {
    try {
      return (await this.#deps.aliases.resolve(alias)).roomId
    } catch (error) {
      if (error instanceof MatrixError && error.errcode === 'M_NOT_FOUND') return undefined
      throw error
    }
  }

  #mayCreate(user: UserRecord, alias: RoomAlias): boolean {
    const { createsRooms, serverName } = this.#deps.options
    return createsRooms && !user.isGuest && serverNameOf(alias) === serverName
  }

  async #create(user: UserRecord, alias: RoomAlias): Promise<RoomId> {
    const { creation, options } = this.#deps
    const creator = (await this.#findInviter()) ?? user
    const { roomId } = await creation.create(actingFor(creator), {
      preset: options.preset,
      roomAliasName: localpartOf(alias),
      creationContent: options.isFederated ? {} : { 'm.federate': false },
    })
    return roomId
  }

  async #findInviter(): Promise<UserRecord | undefined> {
    const { db, users, options } = this.#deps
    if (options.inviterLocalpart === undefined) return undefined
    return users.get(db.reader, userIdOf(options.inviterLocalpart, options.serverName))
  }

  /** Rooms that are not public are joined by invitation of the operator's choice of user. */
  async #inviteIfNeeded(user: UserRecord, roomId: RoomId): Promise<void> {
    const inviter = await this.#findInviter()
    if (inviter === undefined || inviter.userId === user.userId) return
    if (await this.#deps.membership.isOpen(roomId)) return
    await this.#deps.membership.invite(actingFor(inviter), roomId, {
      userId: user.userId,
      reason: undefined,
      isLimited: false,
    })
  }
}
