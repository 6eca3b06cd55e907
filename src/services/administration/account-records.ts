import { invalidParam, notFound } from '../../protocol/errors.js'
import { serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { AccountListingStore } from '../../storage/stores/account-listing.js'
import type { MediaRecord } from '../../storage/stores/media.js'
import type { MediaAdministrationStore, MediaOrder } from '../../storage/stores/media-administration.js'
import type { PusherRecord, PushersStore } from '../../storage/stores/pushers.js'
import type { ThreepidsStore } from '../../storage/stores/threepids.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { JsonObject } from '../../util/json.js'

export interface AccountRecordsDependencies {
  readonly db: Database
  readonly users: UsersStore
  readonly listing: AccountListingStore
  readonly threepids: ThreepidsStore
  readonly accountData: AccountDataStore
  readonly media: MediaAdministrationStore
  readonly pushers: Pick<PushersStore, 'listForUser'>
  readonly serverName: ServerName
}

/** What a user has put down: by type, and by room and type. */
export interface AccountDataOverview {
  readonly global: Readonly<Record<string, JsonObject>>
  readonly rooms: Readonly<Record<string, Readonly<Record<string, JsonObject>>>>
}

export interface MediaPage {
  readonly from: number
  readonly limit: number
  readonly orderBy: MediaOrder
  readonly isDescending: boolean
}

/**
 * What single accounts have here, for administrators. Only reads. All throw `M_INVALID_PARAM` for users of other servers
 * and `M_NOT_FOUND` for those that are not there.
 */
export class AccountRecords {
  readonly #deps: AccountRecordsDependencies

  constructor(deps: AccountRecordsDependencies) {
    this.#deps = deps
  }

  accountData(userId: UserId): Promise<AccountDataOverview> {
    return this.#read(userId, async (q) => {
      const global: Record<string, JsonObject> = {}
      const rooms: Record<RoomId, Record<string, JsonObject>> = {}
      for (const { roomId, type, content } of await this.#deps.accountData.getAll(q, userId)) {
        if (roomId === undefined) global[type] = content
        else (rooms[roomId] ??= {})[type] = content
      }
      return { global, rooms }
    })
  }

  pushers(userId: UserId): Promise<PusherRecord[]> {
    return this.#read(userId, (q) => this.#deps.pushers.listForUser(q, userId))
  }

  /** A page of the files that a user has uploaded, and how many there are in all. */
  media(userId: UserId, page: MediaPage): Promise<{ files: MediaRecord[]; total: number }> {
    return this.#read(userId, (q) => this.#deps.media.listOfUser(q, userId, page))
  }

  /** How many invitations a user has sent since then, in milliseconds since 1970. */
  sentInvitations(userId: UserId, since: number): Promise<number> {
    return this.#read(userId, (q) => this.#deps.listing.countInvitations(q, userId, since))
  }

  /** How many rooms a user has joined since then, also those that they have left again. */
  joinedRooms(userId: UserId, since: number): Promise<number> {
    return this.#read(userId, (q) => this.#deps.listing.countJoinedRooms(q, userId, since))
  }

  /** Whose an e-mail address (`email`) or a telephone number (`msisdn`) is. */
  async findByThreepid(medium: string, address: string): Promise<UserId> {
    const { db, threepids } = this.#deps
    const canonical = medium === 'email' ? address.toLowerCase() : address
    const userId = await threepids.findOwner(db.reader, medium, canonical)
    if (userId === undefined) throw notFound('User not found')
    return userId
  }

  /** Who is known by an ID to a service by which people log in. */
  async findByExternalId(authProvider: string, externalId: string): Promise<UserId> {
    const { db, listing } = this.#deps
    const userId = await listing.findByExternalId(db.reader, authProvider, externalId)
    if (userId === undefined) throw notFound('User not found')
    return userId
  }

  async #read<T>(userId: UserId, read: (q: Query) => Promise<T>): Promise<T> {
    const { db, users, serverName } = this.#deps
    if (serverNameOf(userId) !== serverName) throw invalidParam(`${userId} is a user of another server`)
    return db.read('read_account_records', async (q) => {
      if (!(await users.exists(q, userId))) throw notFound(`There is no user ${userId}`)
      return read(q)
    })
  }
}
