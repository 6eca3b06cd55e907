import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { AccessTokens } from '../services/accounts/access-tokens.js'
import { AccountModeration } from '../services/accounts/account-moderation.js'
import { OpenIdTokens } from '../services/accounts/openid-tokens.js'
import { Threepids } from '../services/accounts/threepids.js'
import { TurnCredentials } from '../services/accounts/turn-credentials.js'
import { Whois } from '../services/accounts/whois.js'
import type { ClientSightings } from '../services/devices/client-sightings.js'
import type { RoomState } from '../services/events/room-state.js'
import type { RoomStateViews } from '../services/rooms/room-state-views.js'
import { MutualRooms } from '../services/rooms/mutual-rooms.js'
import { Reports } from '../services/rooms/reports.js'
import type { Services } from '../services/services.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { Database } from '../storage/database.js'
import { OpenIdTokensStore } from '../storage/stores/openid-tokens.js'
import { ReportsStore } from '../storage/stores/reports.js'
import type { Clock } from '../util/clock.js'
import type { BackgroundWork } from './lifecycle.js'
import type { AccountStores } from './wire-accounts.js'
import type { EventStores } from './wire-events.js'
import type { EventReading } from './wire-reading.js'
import { createSearchServices, createSearchStores, type SearchServices } from './wire-search.js'
import type { Streams } from './wire-storage.js'

/** What looking around needs of the rest of the server. */
export interface DiscoveryParts {
  readonly db: Database
  readonly clock: Clock
  readonly bus: LocalBus
  readonly streams: Streams
  readonly roomState: RoomState
  readonly roomStateViews: RoomStateViews
  readonly reading: EventReading
  readonly accessTokens: AccessTokens
  readonly sightings: ClientSightings
  /** For what fails with nobody waiting for it. */
  readonly onError: (error: unknown) => void
}

export type DiscoveryStores = ReturnType<typeof createDiscoveryStores>

export type DiscoveryServices = SearchServices &
  Pick<
    Services,
    | 'accountModeration'
    | 'mutualRooms'
    | 'openIdTokens'
    | 'reports'
    | 'threepids'
    | 'turnCredentials'
    | 'whois'
  >

export function createDiscoveryStores() {
  return { ...createSearchStores(), openIdTokens: new OpenIdTokensStore(), reports: new ReportsStore() }
}

/** Constructs what is found out and asked for around rooms and accounts. */
export function createDiscoveryServices(
  parts: DiscoveryParts,
  stores: DiscoveryStores &
    Pick<AccountStores, 'users' | 'threepids' | 'clientIps' | 'profiles'> &
    EventStores,
  config: HomeserverConfig,
): { services: DiscoveryServices; background: readonly BackgroundWork[] } {
  const { serverName } = config.server
  const shared = { ...stores, ...parts, ...parts.reading, serverName }
  const search = createSearchServices(parts, stores, config)
  const services = {
    ...search.services,
    accountModeration: new AccountModeration({ ...shared, tokens: parts.accessTokens }),
    mutualRooms: new MutualRooms(shared),
    openIdTokens: new OpenIdTokens(shared),
    reports: new Reports(shared),
    threepids: new Threepids({ ...shared, mayChange: config.registration.mayChangeThreepids }),
    turnCredentials: new TurnCredentials(parts.clock, config.turn),
    whois: new Whois(shared),
  }
  return { services, background: search.background }
}
