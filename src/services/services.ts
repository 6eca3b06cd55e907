import type { AccessTokens } from './accounts/access-tokens.js'
import type { AccountData } from './accounts/account-data.js'
import type { AccountModeration } from './accounts/account-moderation.js'
import type { AuthenticationService } from './accounts/authentication-service.js'
import type { EmailValidations } from './accounts/email-validations.js'
import type { Filters } from './accounts/filters.js'
import type { IdentityBindings } from './accounts/identity-bindings.js'
import type { JwtLogin } from './accounts/jwt-login.js'
import type { Login } from './accounts/login.js'
import type { Logout } from './accounts/logout.js'
import type { OpenIdTokens } from './accounts/openid-tokens.js'
import type { PasswordChanges } from './accounts/password-changes.js'
import type { PolicyConsents } from './accounts/policy-consents.js'
import type { PolicyPages } from './accounts/policy-pages.js'
import type { Profiles } from './accounts/profiles.js'
import type { PushRules } from './accounts/push-rules.js'
import type { RatelimitOverrides } from './accounts/ratelimit-overrides.js'
import type { RegistrationTokens } from './accounts/registration-tokens.js'
import type { ServerDescription } from './accounts/server-description.js'
import type { StartPages } from './accounts/start-pages.js'
import type { Threepids } from './accounts/threepids.js'
import type { TokenIssuer } from './accounts/token-issuer.js'
import type { TurnCredentials } from './accounts/turn-credentials.js'
import type { UiAuthPages } from './accounts/ui-auth-pages.js'
import type { UiAuth } from './accounts/ui-auth.js'
import type { UsageLimits } from './accounts/usage-limits.js'
import type { ValidationPages } from './accounts/validation-pages.js'
import type { Whois } from './accounts/whois.js'
import type { MailSubscriptions } from './delivery/mail-subscriptions.js'
import type { NotificationList } from './delivery/notification-list.js'
import type { Pushers } from './delivery/pushers.js'
import type { AppservicePings } from './appservices/appservice-pings.js'
import type { ThirdPartyNetworks } from './appservices/third-party-networks.js'
import type { AppserviceAccounts } from './journeys/appservice-accounts.js'
import type { CrossSigning } from './devices/cross-signing.js'
import type { DehydratedDevices } from './devices/dehydrated-devices.js'
import type { Devices } from './devices/devices.js'
import type { DeviceLists } from './devices/device-lists.js'
import type { E2eKeys } from './devices/e2e-keys.js'
import type { KeyBackup } from './devices/key-backup.js'
import type { KeyClaims } from './devices/key-claims.js'
import type { KeyQueries } from './devices/key-queries.js'
import type { KeySignatures } from './devices/key-signatures.js'
import type { Rendezvous } from './devices/rendezvous.js'
import type { ToDevice } from './devices/to-device.js'
import type { DeviceListAnswers } from './federation/device-list-answers.js'
import type { InviteReceiver } from './federation/invite-receiver.js'
import type { ResidentHandshakes } from './federation/resident-handshakes.js'
import type { InboundTransactions } from './federation/inbound-transactions.js'
import type { RelationshipAnswers } from './federation/relationship-answers.js'
import type { RoomAnswers } from './federation/room-answers.js'
import type { RoomComplexity } from './federation/room-complexity.js'
import type { Presence } from './ephemeral/presence.js'
import type { ReadMarkers } from './ephemeral/read-markers.js'
import type { Receipts } from './ephemeral/receipts.js'
import type { Typing } from './ephemeral/typing.js'
import type { RoomRepair } from './events/room-repair.js'
import type { RoomWitnesses } from './events/room-witnesses.js'
import type { UnreadCounts } from './events/unread-counts.js'
import type { AccountDeactivation } from './journeys/account-deactivation.js'
import type { AccountAdministration } from './administration/account-administration.js'
import type { RegistrationTokenAdministration } from './administration/registration-token-administration.js'
import type { DestinationOverviews } from './administration/destination-overviews.js'
import type { ReportAdministration } from './administration/report-administration.js'
import type { AccountUpserts } from './administration/account-upserts.js'
import type { DelegatedAccounts } from './administration/delegated-accounts.js'
import type { DelegatedDevices } from './administration/delegated-devices.js'
import type { AccountRecords } from './administration/account-records.js'
import type { AccountOverviews } from './administration/account-overviews.js'
import type { EventExplanations } from './administration/event-explanations.js'
import type { ServerStatistics } from './administration/server-statistics.js'
import type { StateExplanations } from './administration/state-explanations.js'
import type { RoomAdministration } from './administration/room-administration.js'
import type { UserRedactions } from './administration/user-redactions.js'
import type { RoomOverviews } from './administration/room-overviews.js'
import type { AccountRegistration } from './journeys/account-registration.js'
import type { RoomShutdowns } from './journeys/room-shutdowns.js'
import type { PolicyNotices } from './journeys/policy-notices.js'
import type { ServerNotices } from './journeys/server-notices.js'
import type { SharedSecretRegistration } from './journeys/shared-secret-registration.js'
import type { CasProvider } from './sign-on/cas-provider.js'
import type { Newcomers } from './sign-on/newcomers.js'
import type { OidcLogouts } from './sign-on/oidc-logouts.js'
import type { OidcSignOns } from './sign-on/oidc-sign-ons.js'
import type { SignOnPages } from './sign-on/sign-on-pages.js'
import type { SignOn } from './sign-on/sign-on.js'
import type { FederationClient } from './remote/federation-client.js'
import type { FederationGate } from './remote/federation-gate.js'
import type { KeyNotary } from './remote/key-notary.js'
import type { OwnKeys } from './remote/own-keys.js'
import type { Aliases } from './rooms/aliases.js'
import type { DelayedEvents } from './rooms/delayed-events.js'
import type { EventByTimestamp } from './rooms/event-by-timestamp.js'
import type { EventSearch } from './rooms/event-search.js'
import type { EventContext } from './rooms/event-context.js'
import type { HistoryPurges } from './rooms/history-purges.js'
import type { IdentifierInvitations } from './rooms/identifier-invitations.js'
import type { MutualRooms } from './rooms/mutual-rooms.js'
import type { MediaDeletion } from './media/media-deletion.js'
import type { MediaDownloads } from './media/media-downloads.js'
import type { MediaQuarantine } from './media/media-quarantine.js'
import type { MediaUploads } from './media/media-uploads.js'
import type { Thumbnails } from './media/thumbnails.js'
import type { UrlPreviews } from './media/url-previews.js'
import type { Pagination } from './rooms/pagination.js'
import type { ProfileUpdates } from './rooms/profile-updates.js'
import type { PublicRooms } from './rooms/public-rooms.js'
import type { EventRelationships } from './rooms/event-relationships.js'
import type { RelatedEvents } from './rooms/related-events.js'
import type { Reports } from './rooms/reports.js'
import type { RoomBlocks } from './rooms/room-blocks.js'
import type { RoomCreation } from './rooms/room-creation.js'
import type { RoomInitialSync } from './rooms/room-initial-sync.js'
import type { RoomMembers } from './rooms/room-members.js'
import type { RoomMembership } from './rooms/room-membership.js'
import type { RoomSending } from './rooms/room-sending.js'
import type { RoomStateViews } from './rooms/room-state-views.js'
import type { RoomSummaries } from './rooms/room-summaries.js'
import type { RoomUpgrades } from './rooms/room-upgrades.js'
import type { SingleEvents } from './rooms/single-events.js'
import type { SpaceHierarchy } from './rooms/space-hierarchy.js'
import type { ThreadSubscriptions } from './rooms/thread-subscriptions.js'
import type { ThirdPartyInvites } from './rooms/third-party-invites.js'
import type { Threads } from './rooms/threads.js'
import type { UserDirectory } from './rooms/user-directory.js'
import type { DeviceListChanges } from './sync/device-list-changes.js'
import type { SlidingSync } from './sync/sliding-sync/sliding-sync.js'
import type { OldSync } from './sync/old-sync.js'
import type { RoomPeeking } from './sync/room-peeking.js'
import type { Sync } from './sync/sync.js'
import type { SyncFilters } from './sync/sync-filters.js'
import type { LastingTasks } from './tasks/lasting-tasks.js'
import type { Metrics } from '../telemetry/metrics.js'

/**
 * What the server does, as endpoints see it: one entry per service. Only types are imported here, so that a route
 * table can be listed without building a server.
 */
export interface Services {
  readonly accessTokens: AccessTokens
  readonly accountAdministration: AccountAdministration
  readonly accountData: AccountData
  readonly accountDeactivation: AccountDeactivation
  readonly accountModeration: AccountModeration
  readonly accountOverviews: AccountOverviews
  readonly accountRecords: AccountRecords
  readonly accountUpserts: AccountUpserts
  readonly accountRegistration: AccountRegistration
  /** The history of rooms for those whom no room hides anything from. */
  readonly administratorReading: {
    readonly pagination: Pagination
    readonly eventContext: EventContext
    readonly eventByTimestamp: EventByTimestamp
  }
  readonly aliases: Aliases
  /** Undefined: there is no CAS server. */
  readonly cas: CasProvider | undefined
  readonly appserviceAccounts: AppserviceAccounts
  readonly appservicePings: AppservicePings
  /** Undefined where accounts are in the server's own hands. */
  readonly authenticationService: AuthenticationService | undefined
  readonly crossSigning: CrossSigning
  readonly dehydratedDevices: DehydratedDevices
  readonly delegatedAccounts: DelegatedAccounts
  readonly delegatedDevices: DelegatedDevices
  readonly delayedEvents: DelayedEvents
  readonly destinationOverviews: DestinationOverviews
  readonly deviceListChanges: DeviceListChanges
  readonly deviceListAnswers: DeviceListAnswers
  readonly deviceLists: DeviceLists
  readonly devices: Devices
  readonly e2eKeys: E2eKeys
  readonly emailValidations: EmailValidations
  readonly eventByTimestamp: EventByTimestamp
  readonly eventContext: EventContext
  readonly eventExplanations: EventExplanations
  readonly eventSearch: EventSearch
  readonly federationClient: FederationClient
  readonly federationGate: FederationGate
  readonly filters: Filters
  readonly historyPurges: HistoryPurges
  readonly identifierInvitations: IdentifierInvitations
  readonly identityBindings: IdentityBindings
  readonly inboundTransactions: InboundTransactions
  readonly inviteReceiver: InviteReceiver
  /** Undefined: no other service says by tokens who somebody is. */
  readonly jwtLogin: JwtLogin | undefined
  readonly keyBackup: KeyBackup
  readonly keyClaims: KeyClaims
  readonly keyNotary: KeyNotary
  readonly keyQueries: KeyQueries
  readonly keySignatures: KeySignatures
  readonly lastingTasks: LastingTasks
  readonly login: Login
  readonly logout: Logout
  readonly mediaDeletion: MediaDeletion
  readonly mediaDownloads: MediaDownloads
  readonly mediaQuarantine: MediaQuarantine
  readonly mediaUploads: MediaUploads
  readonly metrics: Pick<Metrics, 'render'>
  readonly mutualRooms: MutualRooms
  /** Undefined: nobody signs on by OpenID Connect. */
  readonly oidcLogouts: OidcLogouts | undefined
  /** Undefined: nobody signs on by OpenID Connect. */
  readonly oidcSignOns: OidcSignOns | undefined
  readonly oldSync: OldSync
  readonly openIdTokens: OpenIdTokens
  readonly mailSubscriptions: MailSubscriptions
  readonly newcomers: Newcomers
  readonly notificationList: NotificationList
  readonly ownKeys: OwnKeys
  readonly pagination: Pagination
  readonly passwordChanges: PasswordChanges
  /** Undefined where nobody is told how to agree to the policy but who registers. */
  readonly policyConsents: PolicyConsents | undefined
  /** Undefined where nobody is sent the policy. */
  readonly policyNotices: PolicyNotices | undefined
  readonly policyPages: PolicyPages
  readonly presence: Presence
  readonly profileUpdates: ProfileUpdates
  readonly profiles: Profiles
  readonly publicRooms: PublicRooms
  readonly pushers: Pushers
  readonly pushRules: PushRules
  readonly ratelimitOverrides: RatelimitOverrides
  readonly readMarkers: ReadMarkers
  readonly receipts: Receipts
  readonly registrationTokenAdministration: RegistrationTokenAdministration
  readonly registrationTokens: RegistrationTokens
  readonly relatedEvents: RelatedEvents
  /** Undefined: `msc2836_enabled` is false. */
  readonly eventRelationships: EventRelationships | undefined
  readonly rendezvous: Rendezvous
  readonly reportAdministration: ReportAdministration
  readonly reports: Reports
  readonly roomAdministration: RoomAdministration
  readonly roomAnswers: RoomAnswers
  /** Undefined: `msc2836_enabled` is false. */
  readonly relationshipAnswers: RelationshipAnswers | undefined
  readonly roomBlocks: RoomBlocks
  readonly roomComplexity: RoomComplexity
  readonly residentHandshakes: ResidentHandshakes
  readonly roomCreation: RoomCreation
  readonly roomInitialSync: RoomInitialSync
  readonly roomMembers: RoomMembers
  readonly roomMembership: RoomMembership
  readonly roomOverviews: RoomOverviews
  readonly roomPeeking: RoomPeeking
  readonly roomRepair: RoomRepair
  readonly roomSending: RoomSending
  readonly roomShutdowns: RoomShutdowns
  readonly roomStateViews: RoomStateViews
  readonly roomSummaries: RoomSummaries
  readonly roomUpgrades: RoomUpgrades
  /** Other servers, asked for what this one has lost. */
  readonly roomWitnesses: RoomWitnesses
  readonly serverDescription: ServerDescription
  readonly serverNotices: ServerNotices
  readonly serverStatistics: ServerStatistics
  readonly sharedSecretRegistration: SharedSecretRegistration
  readonly signOn: SignOn
  readonly signOnPages: SignOnPages
  readonly singleEvents: SingleEvents
  readonly slidingSync: SlidingSync
  readonly spaceHierarchy: SpaceHierarchy
  readonly startPages: StartPages
  readonly stateExplanations: StateExplanations
  readonly sync: Sync
  readonly syncFilters: SyncFilters
  readonly threadSubscriptions: ThreadSubscriptions
  readonly thirdPartyNetworks: ThirdPartyNetworks
  readonly thirdPartyInvites: ThirdPartyInvites
  readonly threads: Threads
  readonly threepids: Threepids
  readonly thumbnails: Thumbnails
  readonly toDevice: ToDevice
  readonly tokenIssuer: TokenIssuer
  readonly turnCredentials: TurnCredentials
  readonly typing: Typing
  readonly uiAuth: UiAuth
  readonly uiAuthPages: UiAuthPages
  /** Spaces for those whom no room hides anything from, as far as this server knows them. */
  readonly unhinderedHierarchy: SpaceHierarchy
  readonly unreadCounts: UnreadCounts
  readonly urlPreviews: UrlPreviews
  /** Undefined where anybody may use the server. */
  readonly usageLimits: UsageLimits | undefined
  readonly validationPages: ValidationPages
  readonly userDirectory: UserDirectory
  readonly userRedactions: UserRedactions
  readonly whois: Whois
}
