import type { SpamChecks } from '../services/accounts/spam-checks.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { IdentityServerClient } from '../net/clients/identity-server-client.js'
import type { UserId } from '../protocol/ids.js'
import type { JsonSigner } from '../protocol/signed-json.js'
import type { AccessTokens } from '../services/accounts/access-tokens.js'
import { AccountModeration } from '../services/accounts/account-moderation.js'
import { IdentityBindings } from '../services/accounts/identity-bindings.js'
import { OpenIdTokens } from '../services/accounts/openid-tokens.js'
import type { EmailValidations } from '../services/accounts/email-validations.js'
import { Threepids, type ThreepidCleanup } from '../services/accounts/threepids.js'
import { TurnCredentials } from '../services/accounts/turn-credentials.js'
import { UsageLimits } from '../services/accounts/usage-limits.js'
import { Whois } from '../services/accounts/whois.js'
import type { ClientSightings } from '../services/devices/client-sightings.js'
import type { EventSender } from '../services/events/event-sender.js'
import type { Presence } from '../services/ephemeral/presence.js'
import type { Receipts } from '../services/ephemeral/receipts.js'
import type { Typing } from '../services/ephemeral/typing.js'
import type { RoomState } from '../services/events/room-state.js'
import type { RoomStateViews } from '../services/rooms/room-state-views.js'
import { GuestAccess } from '../services/rooms/guest-access.js'
import { GuestDepartures } from '../services/rooms/guest-departures.js'
import { MutualRooms } from '../services/rooms/mutual-rooms.js'
import { Reports } from '../services/rooms/reports.js'
import type { Services } from '../services/services.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { Notifier } from '../services/streams/notifier.js'
import { OldSync } from '../services/sync/old-sync.js'
import { RoomPeeking } from '../services/sync/room-peeking.js'
import { RoomWatches } from '../services/sync/room-watches.js'
import type { Sync } from '../services/sync/sync.js'
import type { Database } from '../storage/database.js'
import { ActiveUsersStore } from '../storage/stores/active-users.js'
import { IdentityBindingsStore } from '../storage/stores/identity-bindings.js'
import { OpenIdTokensStore } from '../storage/stores/openid-tokens.js'
import { ReportsStore } from '../storage/stores/reports.js'
import { StateDeltasStore } from '../storage/stores/state-deltas.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { AccountStores } from './wire-accounts.js'
import type { EventStores } from './wire-events.js'
import type { EventReading, ReadingStores } from './wire-reading.js'
import type { RoomStores } from './wire-rooms.js'
import { createSearchServices, createSearchStores, type SearchServices } from './wire-search.js'
import type { Streams } from './wire-storage.js'

/** What looking around needs of the rest of the server. */
export interface DiscoveryParts {
  readonly db: Database
  readonly clock: Clock
  readonly bus: LocalBus
  readonly streams: Streams
  readonly notifier: Notifier
  readonly sync: Sync
  readonly roomState: RoomState
  readonly eventSender: EventSender
  readonly roomStateViews: RoomStateViews
  readonly spam?: SpamChecks | undefined
  readonly presence: Presence
  readonly receipts: Receipts
  readonly typing: Typing
  readonly reading: EventReading
  readonly accessTokens: AccessTokens
  readonly sightings: ClientSightings
  readonly threepidCleanup: ThreepidCleanup
  readonly identity: IdentityServerClient
  readonly signer: JsonSigner
  readonly emailValidations: EmailValidations
  readonly metrics: Metrics
  /** Told of those who are counted as active. */
  readonly onCounted: (userId: UserId) => void
  /** For what fails with nobody waiting for it. */
  readonly onError: (error: unknown) => void
}

export type DiscoveryStores = ReturnType<typeof createDiscoveryStores>

export type DiscoveryServices = SearchServices &
  Pick<
    Services,
    | 'accountModeration'
    | 'identityBindings'
    | 'mutualRooms'
    | 'oldSync'
    | 'openIdTokens'
    | 'reports'
    | 'roomPeeking'
    | 'threepids'
    | 'turnCredentials'
    | 'usageLimits'
    | 'whois'
  >

export function createDiscoveryStores() {
  return {
    ...createSearchStores(),
    activeUsers: new ActiveUsersStore(),
    openIdTokens: new OpenIdTokensStore(),
    reports: new ReportsStore(),
  }
}

/** Constructs what is found out and asked for around rooms and accounts. */
export function createDiscoveryServices(
  parts: DiscoveryParts,
  stores: DiscoveryStores &
    Pick<AccountStores, 'users' | 'threepids' | 'clientIps' | 'profiles'> &
    EventStores &
    Pick<ReadingStores, 'timeline'> &
    Pick<RoomStores, 'publicRooms'>,
  config: HomeserverConfig,
): { services: DiscoveryServices; background: readonly BackgroundWork[] } {
  const { serverName } = config.server
  const { db, clock, bus } = parts
  const shared = { ...stores, ...parts, ...parts.reading, serverName }
  const watches = new RoomWatches(clock)
  bus.subscribe(watches)
  const search = createSearchServices(parts, stores, config)
  const usageLimits = createUsageLimits(parts, stores, config)
  const guestDepartures = new GuestDepartures({
    ...shared,
    deltas: new StateDeltasStore(),
    eventStream: parts.streams.events,
    guestAccess: new GuestAccess({ ...shared, sender: parts.eventSender }),
  })
  bus.subscribe(guestDepartures)
  const services = {
    ...search.services,
    accountModeration: new AccountModeration({ ...shared, tokens: parts.accessTokens }),
    identityBindings: new IdentityBindings({
      ...shared,
      store: new IdentityBindingsStore(),
      client: parts.identity,
    }),
    mutualRooms: new MutualRooms(shared),
    oldSync: new OldSync(db, shared),
    openIdTokens: new OpenIdTokens(shared),
    reports: new Reports(shared),
    roomPeeking: new RoomPeeking(db, { ...shared, watches, timeline: stores.timeline }),
    threepids: new Threepids({
      ...shared,
      cleanup: parts.threepidCleanup,
      validations: parts.emailValidations,
      mayChange: config.registration.mayChangeThreepids,
    }),
    turnCredentials: new TurnCredentials(clock, config.turn),
    usageLimits,
    whois: new Whois(shared),
  }
  const tasks =
    usageLimits === undefined
      ? []
      : [
          { name: 'expire_active_users', intervalMs: DAY_MS, run: () => usageLimits.deleteOld() },
          { name: 'measure_active_users', intervalMs: MEASURE_MS, run: () => usageLimits.measure() },
        ]
  return { services, background: [...search.background, guestDepartures, { tasks }] }
}

const DAY_MS = 24 * 60 * 60_000
const MEASURE_MS = 5 * 60_000

/** Undefined where nobody is counted or turned away. */
function createUsageLimits(
  { db, clock, metrics, onCounted }: DiscoveryParts,
  stores: DiscoveryStores & Pick<AccountStores, 'users' | 'threepids'>,
  { server, usage }: HomeserverConfig,
): UsageLimits | undefined {
  if (!server.isDisabled && !usage.countsActiveUsers) return undefined
  const { isDisabled, disabledMessage, adminContact } = server
  return new UsageLimits({
    ...stores,
    db,
    clock,
    metrics,
    onCounted,
    options: { ...usage, isDisabled, disabledMessage, adminContact },
  })
}
