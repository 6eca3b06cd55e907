import type { SpamChecks } from '../services/accounts/spam-checks.js'
import type { IdentityServerClient } from '../net/clients/identity-server-client.js'
import type { RoomId, ServerName, UserId } from '../protocol/ids.js'
import { AccountData } from '../services/accounts/account-data.js'
import { InvitePermissions } from '../services/accounts/invite-permissions.js'
import type { PushRules } from '../services/accounts/push-rules.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { EventSender } from '../services/events/event-sender.js'
import type { PartialRooms } from '../services/events/partial-rooms.js'
import type { RoomState } from '../services/events/room-state.js'
import type { AppserviceQueries } from '../services/appservices/appservice-queries.js'
import type { AppserviceRegistry } from '../services/appservices/appservice-registry.js'
import { Aliases } from '../services/rooms/aliases.js'
import type { ServerAcls } from '../services/federation/server-acls.js'
import { AutoJoin, type AutoJoinOptions } from '../services/rooms/auto-join.js'
import { DirectoryEntries } from '../services/rooms/directory-entries.js'
import { DirectoryRules, type DirectoryRule } from '../services/rooms/directory-rules.js'
import { GuestAccess } from '../services/rooms/guest-access.js'
import { IdentifierInvitations } from '../services/rooms/identifier-invitations.js'
import { Invitations, type InvitationOptions } from '../services/rooms/invitations.js'
import { JoinPermits } from '../services/rooms/join-permits.js'
import { ProfileUpdates } from '../services/rooms/profile-updates.js'
import { PublicRooms, type PublicRoomsOptions } from '../services/rooms/public-rooms.js'
import { RelationChecks } from '../services/rooms/relation-checks.js'
import { RemoteMembership, type MembershipHandshakes } from '../services/rooms/remote-membership.js'
import { RemoteRoomLimit, type RemoteRoomLimitOptions } from '../services/rooms/remote-room-limit.js'
import { RemotePreviews } from '../services/rooms/remote-previews.js'
import { RestrictedJoins } from '../services/rooms/restricted-joins.js'
import type { RoomBlocks } from '../services/rooms/room-blocks.js'
import { RoomCreation, type RoomCreationOptions } from '../services/rooms/room-creation.js'
import { RoomDepartures } from '../services/rooms/room-departures.js'
import { RoomMembership, type MembershipOptions } from '../services/rooms/room-membership.js'
import { RoomPreviews } from '../services/rooms/room-previews.js'
import { RoomPowers } from '../services/rooms/room-powers.js'
import { RoomSending } from '../services/rooms/room-sending.js'
import { RoomSuccession } from '../services/rooms/room-succession.js'
import { RoomSummaries } from '../services/rooms/room-summaries.js'
import { RoomUpgrades } from '../services/rooms/room-upgrades.js'
import { SpaceHierarchy } from '../services/rooms/space-hierarchy.js'
import { UnhinderedPreviews } from '../services/rooms/unhindered-previews.js'
import { ThirdPartyInvites } from '../services/rooms/third-party-invites.js'
import type { Services } from '../services/services.js'
import type { PositionSink } from '../services/streams/notifier.js'
import type { Database } from '../storage/database.js'
import type { AccountDataStore } from '../storage/stores/account-data.js'
import { AnnotationsStore } from '../storage/stores/annotations.js'
import { DirectoryStore } from '../storage/stores/directory.js'
import type { EventsStore } from '../storage/stores/events.js'
import { ProfileUpdatesStore } from '../storage/stores/profile-updates.js'
import type { ProfilesStore } from '../storage/stores/profiles.js'
import { PublicRoomsStore } from '../storage/stores/public-rooms.js'
import { RoomPreviewsStore } from '../storage/stores/room-previews.js'
import type { RoomRecord } from '../storage/stores/rooms.js'
import type { UsersStore } from '../storage/stores/users.js'
import type { StreamIdGenerator } from '../storage/streams/stream-id-generator.js'
import type { Clock } from '../util/clock.js'
import type { EventStores } from './wire-events.js'
import type { RemoteLookups } from './wire-federation-outbound.js'

/** What the configuration says of rooms, as the services want it. */
export interface RoomOptions {
  readonly serverName: ServerName
  readonly creation: Omit<RoomCreationOptions, 'serverName' | 'publicationRules'>
  readonly membership: MembershipOptions
  readonly invitations: Omit<InvitationOptions, 'serverName'>
  readonly directory: Omit<PublicRoomsOptions, 'serverName' | 'publicationRules'>
  /** `require_membership_for_aliases`. */
  readonly aliasesNeedMembership: boolean
  readonly aliasCreationRules: readonly DirectoryRule[]
  readonly publicationRules: readonly DirectoryRule[]
  readonly autoJoin: Omit<AutoJoinOptions, 'serverName'>
  /** `limit_remote_rooms`; undefined: rooms may be as large as they like. */
  readonly remoteRooms?: RemoteRoomLimitOptions | undefined
  /** `enable_3pid_lookup`. */
  readonly asksIdentityServers: boolean
  /** `msc4354_enabled`. */
  readonly sendsSticky: boolean
}

/** What rooms need of the rest of the server. */
export interface RoomParts {
  readonly db: Database
  readonly clock: Clock
  readonly positions: PositionSink
  readonly eventStream: Pick<StreamIdGenerator, 'position'>
  readonly accountDataStream: Pick<StreamIdGenerator, 'allocate'>
  readonly roomState: RoomState
  readonly eventSender: EventSender
  readonly rateLimits: Pick<RateLimits, 'consumeFor'>
  readonly pushRules: PushRules
  readonly identity: IdentityServerClient
  /** Rooms whose members are not all known; without it, there are none. */
  readonly partialRooms?: PartialRooms
  /** What other servers do for memberships; without it, there are none. */
  readonly handshakes?: MembershipHandshakes
  /** Whom rooms let speak, where there are others. */
  readonly acls?: ServerAcls
  /** What other servers are asked; without it, none is. */
  readonly remoteLookups?: RemoteLookups
  /** Whether a room lets another server take part. */
  readonly isAllowed?: (roomId: RoomId, server: ServerName) => Promise<boolean>
  /** Told of joins before they are answered; must not fail. */
  readonly onJoined?: (userId: UserId, room: RoomRecord) => Promise<void>
  /** Rooms that nobody may enter; without it, there are none. */
  readonly blocks?: RoomBlocks
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: SpamChecks | undefined
  /** What application services have to do with aliases and the directory. */
  readonly namespaces?: Pick<AppserviceRegistry, 'isTaken' | 'ownsAlias'>
  readonly queries?: Pick<AppserviceQueries, 'hasAlias'>
  /** For what fails with nobody waiting for it. */
  readonly onError: (error: unknown) => void
}

export type RoomStores = ReturnType<typeof createRoomStores>

/** Stores of other parts that rooms work on. */
export type RoomStoresOfOthers = EventStores & {
  readonly accountData: AccountDataStore
  readonly profiles: ProfilesStore
  readonly users: UsersStore
}

export interface RoomServices {
  /** For endpoints. */
  readonly services: Pick<
    Services,
    | 'aliases'
    | 'identifierInvitations'
    | 'profileUpdates'
    | 'publicRooms'
    | 'roomCreation'
    | 'roomMembership'
    | 'roomSending'
    | 'roomSummaries'
    | 'roomUpgrades'
    | 'spaceHierarchy'
    | 'unhinderedHierarchy'
    | 'thirdPartyInvites'
  >
  /** For registration. */
  readonly autoJoin: AutoJoin
  /** For deactivation. */
  readonly departures: RoomDepartures
  /** To be settled when the server stops. */
  readonly succession: RoomSuccession
  /** For what others do to rooms. */
  readonly guestAccess: GuestAccess
  /** For joins through this server. */
  readonly restrictedJoins: RestrictedJoins
}

/** The stores of the directory and of what goes on in the background. */
export function createRoomStores(others: { readonly events: EventsStore }) {
  return {
    annotations: new AnnotationsStore(others.events),
    directory: new DirectoryStore(),
    profileUpdates: new ProfileUpdatesStore(),
    publicRooms: new PublicRoomsStore(),
    roomPreviews: new RoomPreviewsStore(),
  }
}

/** Constructs the services of rooms, each after those it needs. */
export function createRoomServices(
  parts: RoomParts,
  stores: RoomStores & RoomStoresOfOthers,
  options: RoomOptions,
): RoomServices {
  const base = createRoomBase(parts, stores, options)
  const { shared, powers, aliases, remote, publicationRules } = base
  const { serverName } = options
  const { identifierInvitations, roomCreation, roomMembership, thirdPartyInvites, ...entrance } =
    createEntrance(base, parts, options)
  const { succession, guestAccess } = entrance
  return {
    ...entrance,
    services: {
      aliases,
      thirdPartyInvites,
      identifierInvitations,
      roomCreation,
      roomMembership,
      ...createPreviews(shared, stores.roomPreviews),
      publicRooms: new PublicRooms({
        ...shared,
        powers,
        entries: new DirectoryEntries(shared),
        options: { ...options.directory, serverName, publicationRules },
      }),
      roomUpgrades: new RoomUpgrades({ ...shared, powers, succession }),
      roomSending: new RoomSending({
        ...shared,
        aliases,
        guestAccess,
        succession,
        membership: roomMembership,
        relations: new RelationChecks(shared),
        transactions: stores.eventTxns,
        sendsSticky: options.sendsSticky,
      }),
      profileUpdates: new ProfileUpdates({ ...shared, updates: stores.profileUpdates }),
    },
    departures: new RoomDepartures({ ...shared, remote }),
    autoJoin: new AutoJoin({
      ...shared,
      aliases,
      creation: roomCreation,
      membership: roomMembership,
      options: { ...options.autoJoin, serverName },
    }),
  }
}

type RoomBase = ReturnType<typeof createRoomBase>

/** What the other services of rooms share. */
function createRoomBase(parts: RoomParts, stores: RoomStores & RoomStoresOfOthers, options: RoomOptions) {
  const { db, roomState, eventSender: sender } = parts
  const { serverName } = options
  const shared = { ...stores, ...parts, ...parts.remoteLookups, sender, serverName }
  const powers = new RoomPowers(db, roomState, stores.members)
  const { remoteRooms } = options
  const complexity = parts.handshakes?.complexity
  const limit = complexity && remoteRooms && new RemoteRoomLimit(complexity, remoteRooms)
  return {
    shared,
    powers,
    publicationRules: new DirectoryRules(options.publicationRules),
    aliases: new Aliases({
      ...shared,
      powers,
      options: {
        serverName,
        requireMembership: options.aliasesNeedMembership,
        creationRules: new DirectoryRules(options.aliasCreationRules),
      },
    }),
    remote: new RemoteMembership({ ...shared, limit }),
  }
}

/** How rooms come about, and people into them. */
function createEntrance(
  { shared, powers, publicationRules, aliases, remote }: RoomBase,
  parts: RoomParts,
  options: RoomOptions,
) {
  const { serverName } = options
  const invitations = new Invitations({
    ...shared,
    permissions: new InvitePermissions(parts.db, shared.accountData, options.invitations.noticesFrom),
    reachesOthers: parts.handshakes !== undefined,
    options: { ...options.invitations, serverName },
  })
  const succession = new RoomSuccession({
    ...shared,
    entries: new DirectoryEntries(shared),
    writer: new AccountData({ ...shared, streamIds: parts.accountDataStream }),
  })
  const guestAccess = new GuestAccess(shared)
  const thirdPartyInvites = new ThirdPartyInvites({ ...shared, remote, exchange: parts.handshakes?.exchange })
  const restrictedJoins = new RestrictedJoins({ ...shared, powers })
  const roomMembership = new RoomMembership({
    ...shared,
    aliases,
    invitations,
    permits: new JoinPermits({ guestAccess, restrictedJoins, thirdPartyInvites }),
    remote,
    thirdPartyInvites,
    onJoined: async (userId, room) => {
      succession.onJoined(userId, room)
      await parts.onJoined?.(userId, room)
    },
    options: options.membership,
  })
  const identifierInvitations = new IdentifierInvitations({
    ...shared,
    client: parts.identity,
    powers,
    invitations,
    membership: roomMembership,
    isEnabled: options.asksIdentityServers,
  })
  return {
    succession,
    guestAccess,
    restrictedJoins,
    thirdPartyInvites,
    identifierInvitations,
    roomMembership,
    roomCreation: new RoomCreation({
      ...shared,
      aliases,
      invitations,
      remote,
      identifiers: identifierInvitations,
      options: { ...options.creation, serverName, publicationRules },
    }),
  }
}

function createPreviews(
  shared: RoomBase['shared'],
  store: RoomPreviewsStore,
): Pick<Services, 'roomSummaries' | 'spaceHierarchy' | 'unhinderedHierarchy'> {
  const { serverName, remoteLookups } = shared
  const previews = new RoomPreviews({ ...shared, previews: store })
  const hierarchies = remoteLookups?.remoteHierarchies
  const remotePreviews = hierarchies && new RemotePreviews({ serverName, previews, hierarchies })
  return {
    roomSummaries: new RoomSummaries({ previews, remotePreviews }),
    spaceHierarchy: new SpaceHierarchy({ ...shared, store, previews, remotePreviews }),
    unhinderedHierarchy: new SpaceHierarchy({ ...shared, store, previews: new UnhinderedPreviews(previews) }),
  }
}
