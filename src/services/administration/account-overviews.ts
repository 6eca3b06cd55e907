import { invalidParam, notFound } from '../../protocol/errors.js'
import { serverNameOf, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type {
  AccountListingStore,
  AccountPage,
  AccountSelection,
  ListedAccount,
} from '../../storage/stores/account-listing.js'
import type { ClientIpsStore } from '../../storage/stores/client-ips.js'
import type { CrossSigningStore } from '../../storage/stores/cross-signing.js'
import type { Database, Query } from '../../storage/database.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { Membership, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomsStore } from '../../storage/stores/rooms.js'
import type { ThreepidRecord, ThreepidsStore } from '../../storage/stores/threepids.js'
import type { PolicyNoticesStore } from '../../storage/stores/policy-notices.js'
import type { UserConsent, UserConsentsStore } from '../../storage/stores/user-consents.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { JsonObject } from '../../util/json.js'

export interface AccountOverviewsDependencies {
  readonly db: Database
  readonly listing: AccountListingStore
  readonly users: UsersStore
  readonly profiles: ProfilesStore
  readonly threepids: ThreepidsStore
  readonly devices: DevicesStore
  readonly clientIps: ClientIpsStore
  readonly crossSigning: Pick<CrossSigningStore, 'get'>
  readonly userConsents: Pick<UserConsentsStore, 'get'>
  readonly policyNotices: Pick<PolicyNoticesStore, 'get'>
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
  readonly serverName: ServerName
}

/** An account in a list. Times are in milliseconds since 1970; `passwordHash` never leaves the server. */
export type AccountEntry = Omit<ListedAccount, 'passwordHash'> & { readonly hasPassword: boolean }

/** Everything about one account that administrators ask for first. */
export interface AccountOverview extends AccountEntry {
  readonly profile: Readonly<JsonObject>
  readonly threepids: readonly ThreepidRecord[]
  /** To which version of the server's policy the user has agreed, if to any. */
  readonly consent?: UserConsent
  /** The version of the policy of which the server has told them. */
  readonly policyNotice?: string
  /** As whom the user is known to services by which people log in. */
  readonly externalIds: readonly { readonly authProvider: string; readonly externalId: string }[]
  readonly devices: readonly {
    readonly deviceId: string
    readonly displayName: string | undefined
    readonly createdTs: number
    readonly lastSeenTs: number | undefined
    readonly lastSeenIp: string | undefined
    readonly userAgent: string | undefined
  }[]
  /** Access tokens that belong to no device. */
  readonly devicelessTokens: number
  /** By membership. */
  readonly rooms: Readonly<Record<string, number>>
  readonly media: { readonly files: number; readonly bytes: number }
  readonly pushers: number
  /** Which cross-signing keys there are: `master`, `self_signing`, `user_signing`. */
  readonly crossSigningKeys: readonly string[]
}

/** An account that is new, with what tells people from those who only want to be rid of something. */
export interface SignUp {
  readonly userId: UserId
  readonly createdTs: number
  readonly emails: readonly string[]
  readonly addresses: readonly string[]
  readonly publicRooms: number
  readonly privateRooms: number
}

const ALL_MEMBERSHIPS: readonly Membership[] = ['join', 'invite', 'knock', 'leave', 'ban']

/** What administrators see of accounts. Only reads. */
export class AccountOverviews {
  readonly #deps: AccountOverviewsDependencies

  constructor(deps: AccountOverviewsDependencies) {
    this.#deps = deps
  }

  /** A page of accounts, and how many there are in all. */
  async list(
    selection: AccountSelection,
    page: AccountPage,
  ): Promise<{ accounts: AccountEntry[]; total: number }> {
    const { db, listing } = this.#deps
    const { accounts, total } = await db.read('list_accounts', (q) => listing.list(q, selection, page))
    return { accounts: accounts.map(toEntry), total }
  }

  /** Throws `M_INVALID_PARAM` for users of other servers, `M_NOT_FOUND` for those that are not there. */
  async show(userId: UserId): Promise<AccountOverview> {
    return this.#deps.db.read('show_account', (q) => this.#show(q, userId))
  }

  /** The rooms of a user with this membership, in the order of their IDs. Rooms of unknown versions are left out. */
  async listRooms(userId: UserId, membership: 'join' | 'invite' | 'knock'): Promise<RoomId[]> {
    const { db, members, rooms } = this.#deps
    return db.read('list_rooms_of_account', async (q) => {
      const held = await members.listForUser(q, userId, [membership])
      const found = await rooms.getByNids(
        q,
        held.map(({ roomNid }) => roomNid),
      )
      return [...found.values()].map(({ roomId }) => roomId).sort()
    })
  }

  /** In which rooms a user has which membership. Rooms of unknown versions are left out. */
  async listMemberships(userId: UserId): Promise<Map<RoomId, Membership>> {
    const { db, members, rooms } = this.#deps
    return db.read('list_memberships_of_account', async (q) => {
      const held = await members.listForUser(q, userId, ALL_MEMBERSHIPS)
      const found = await rooms.getByNids(
        q,
        held.map(({ roomNid }) => roomNid),
      )
      return new Map(
        held.flatMap(({ roomNid, membership }) => {
          const room = found.get(roomNid)
          return room ? [[room.roomId, membership] as const] : []
        }),
      )
    })
  }

  /** The accounts made since then, the oldest first, at most `limit`. */
  async listSignUps(
    since: number,
    options: { readonly withAppservices: boolean; readonly limit: number },
  ): Promise<SignUp[]> {
    const { db, listing } = this.#deps
    return db.read('list_sign_ups', async (q) => {
      const { accounts } = await listing.list(
        q,
        { createdSince: since, ...(options.withAppservices ? {} : { ofAppservices: false }) },
        { orderBy: 'createdTs', isDescending: false, from: 0, limit: options.limit },
      )
      const userIds = accounts.map(({ userId }) => userId)
      const emails = await listing.listEmails(q, userIds)
      const addresses = await listing.listAddresses(q, userIds)
      const joined = (await listing.countMemberships(q, userIds)).filter(
        ({ membership }) => membership === 'join',
      )
      const roomsOf = (userId: UserId, isPublic: boolean): number =>
        joined.find((count) => count.userId === userId && count.isPublic === isPublic)?.rooms ?? 0
      return accounts.map(({ userId, createdTs }) => ({
        userId,
        createdTs,
        emails: emails.get(userId) ?? [],
        addresses: addresses.get(userId) ?? [],
        publicRooms: roomsOf(userId, true),
        privateRooms: roomsOf(userId, false),
      }))
    })
  }

  async #show(q: Query, userId: UserId): Promise<AccountOverview> {
    const { listing, users, userConsents, policyNotices, profiles, threepids, devices, serverName } =
      this.#deps
    if (serverNameOf(userId) !== serverName) throw invalidParam(`${userId} is a user of another server`)
    const user = await users.get(q, userId)
    if (user === undefined) throw notFound(`There is no user ${userId}`)
    const profile = await profiles.get(q, userId)
    const sessions = await devices.listForUser(q, userId)
    const belongings = await listing.countBelongings(q, userId)
    const consent = await userConsents.get(q, userId)
    const policyNotice = await policyNotices.get(q, userId)
    const seen = sessions.flatMap(({ lastSeenTs }) => (lastSeenTs === undefined ? [] : [lastSeenTs]))
    return {
      ...toEntry({
        ...user,
        displayName: profile?.displayName,
        avatarUrl: profile?.avatarUrl,
        lastSeenTs: seen.length === 0 ? undefined : Math.max(...seen),
      }),
      profile: profile?.fields ?? {},
      threepids: await threepids.listForUser(q, userId),
      ...(consent && { consent }),
      ...(policyNotice !== undefined && { policyNotice }),
      externalIds: await listing.listExternalIds(q, userId),
      devices: sessions.map(({ userId: _, ...device }) => device),
      devicelessTokens: belongings.deviceless,
      rooms: sumByMembership(await listing.countMemberships(q, [userId])),
      media: { files: belongings.mediaFiles, bytes: belongings.mediaBytes },
      pushers: belongings.pushers,
      crossSigningKeys: await this.#crossSigningKeys(q, userId),
    }
  }

  async #crossSigningKeys(q: Query, userId: UserId): Promise<string[]> {
    return Object.keys(await this.#deps.crossSigning.get(q, userId)).sort()
  }
}

function toEntry({ passwordHash, ...account }: ListedAccount): AccountEntry {
  return { ...account, hasPassword: passwordHash !== undefined }
}

function sumByMembership(
  counts: readonly { membership: string; rooms: number }[],
): Readonly<Record<string, number>> {
  const sums = new Map<string, number>()
  for (const { membership, rooms } of counts) sums.set(membership, (sums.get(membership) ?? 0) + rooms)
  return Object.fromEntries(sums)
}
