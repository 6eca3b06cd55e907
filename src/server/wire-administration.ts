import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { ServerName } from '../protocol/ids.js'
import {
  AccountAdministration,
  type AccountAdministrationDependencies,
} from '../services/administration/account-administration.js'
import { AccountExport } from '../services/administration/account-export.js'
import { AccountRecords } from '../services/administration/account-records.js'
import { AccountOverviews } from '../services/administration/account-overviews.js'
import { DestinationOverviews } from '../services/administration/destination-overviews.js'
import { ReportAdministration } from '../services/administration/report-administration.js'
import { RegistrationTokenAdministration } from '../services/administration/registration-token-administration.js'
import { EventExplanations } from '../services/administration/event-explanations.js'
import { RoomOverviews } from '../services/administration/room-overviews.js'
import { ServerStatistics } from '../services/administration/server-statistics.js'
import { StateExplanations } from '../services/administration/state-explanations.js'
import { AuthCover } from '../services/events/auth-cover.js'
import { ConflictResolver } from '../services/events/conflict-resolver.js'
import { ErasedUsers } from '../services/events/erased-users.js'
import { EventVisibility } from '../services/events/event-visibility.js'
import { EventLookup } from '../services/events/pending-events.js'
import { StatePoints } from '../services/events/state-points.js'
import {
  AccountUpserts,
  type AccountUpsertsDependencies,
} from '../services/administration/account-upserts.js'
import {
  DelegatedAccounts,
  type DelegatedAccountsDependencies,
} from '../services/administration/delegated-accounts.js'
import {
  DelegatedDevices,
  type DelegatedDevicesDependencies,
} from '../services/administration/delegated-devices.js'
import type { Destinations } from '../services/remote/destinations.js'
import type { Services } from '../services/services.js'
import { CacheRegistry } from '../storage/cache-registry.js'
import type { Database } from '../storage/database.js'
import { AccountBelongingsStore } from '../storage/stores/account-belongings.js'
import { AccountListingStore } from '../storage/stores/account-listing.js'
import { DestinationsStore } from '../storage/stores/destinations.js'
import { ExternalIdsStore } from '../storage/stores/external-ids.js'
import { MediaAdministrationStore } from '../storage/stores/media-administration.js'
import { ReportListingStore } from '../storage/stores/report-listing.js'
import { RoomExplanationStore } from '../storage/stores/room-explanation.js'
import { RoomListingStore } from '../storage/stores/room-listing.js'
import { RoomStaysStore } from '../storage/stores/room-stays.js'
import { ServerStatisticsStore } from '../storage/stores/server-statistics.js'
import { silentLogger } from '../telemetry/logger.js'
import { createMetrics } from '../telemetry/metrics.js'
import { systemClock } from '../util/clock.js'
import { createMediaShelf } from './media-shelf.js'
import { createStores, type Stores } from './wire-base.js'

export type AdministrationReaders = Pick<
  Services,
  'accountOverviews' | 'eventExplanations' | 'roomOverviews' | 'stateExplanations'
>

export type AdministrationServices = Pick<
  Services,
  | 'accountAdministration'
  | 'accountRecords'
  | 'accountUpserts'
  | 'delegatedAccounts'
  | 'delegatedDevices'
  | 'destinationOverviews'
  | 'registrationTokenAdministration'
  | 'reportAdministration'
  | 'serverStatistics'
> &
  AdministrationReaders

interface ReaderParts {
  readonly db: Database
  readonly serverName: ServerName
}

/** Constructs what administrators do. */
export function createAdministration(
  parts: ReaderParts &
    Omit<AccountAdministrationDependencies, 'users' | 'loginTokens'> &
    Omit<
      AccountUpsertsDependencies,
      'users' | 'threepids' | 'externalIds' | 'profiles' | 'administration'
    > & {
      readonly profileFields: AccountUpsertsDependencies['profiles']
      readonly destinations: Destinations
      readonly onErasureChanged: () => void
    } & Pick<DelegatedAccountsDependencies, 'crossSigning' | 'identityBindings' | 'registration'> &
    Pick<DelegatedDevicesDependencies, 'devices'>,
  stores: Stores,
): AdministrationServices {
  const administration = new AccountAdministration({ ...stores, ...parts })
  const readers = createReaders(parts, stores)
  const statistics = new ServerStatisticsStore()
  const delegatedAccounts = new DelegatedAccounts({
    ...parts,
    // Some services are called as stores are.
    users: stores.users,
    profiles: stores.profiles,
    threepids: stores.threepids,
    pushers: stores.pushers,
  })
  return {
    ...readers,
    delegatedAccounts,
    delegatedDevices: new DelegatedDevices({
      db: parts.db,
      devices: parts.devices,
      dehydratedDevices: stores.dehydratedDevices,
      accounts: delegatedAccounts,
    }),
    destinationOverviews: new DestinationOverviews({ ...parts, statistics, store: new DestinationsStore() }),
    serverStatistics: new ServerStatistics(parts.db, statistics),
    reportAdministration: new ReportAdministration({
      db: parts.db,
      reports: new ReportListingStore(),
      events: stores.events,
      rooms: readers.roomOverviews,
    }),
    accountAdministration: administration,
    accountRecords: new AccountRecords({
      ...stores,
      ...parts,
      listing: new AccountListingStore(),
      accountData: stores.accountData,
      pushers: stores.pushers,
      media: new MediaAdministrationStore(),
    }),
    registrationTokenAdministration: new RegistrationTokenAdministration({
      db: parts.db,
      clock: parts.clock,
      registrationTokens: stores.registrationTokens,
    }),
    accountUpserts: new AccountUpserts({
      ...parts,
      administration,
      users: stores.users,
      threepids: stores.threepids,
      externalIds: new ExternalIdsStore(),
      profiles: parts.profileFields,
    }),
  }
}

export type AdministrationTools = AdministrationReaders & { readonly accountExport: AccountExport }

/** What administrators read, without a server: a database, and for exports the files, is all that it takes. */
export function createAdministrationTools(
  db: Database,
  config: Pick<HomeserverConfig, 'caches' | 'media' | 'rooms' | 'server'>,
): AdministrationTools {
  const caches = new CacheRegistry(createMetrics())
  const stores = createStores({ config, storage: { caches } })
  const readers = createReaders({ db, serverName: config.server.serverName }, stores)
  const shelf = createMediaShelf({ config, db, clock: systemClock, logger: silentLogger() })
  const visibility = new EventVisibility(db, {
    events: stores.events,
    points: new StatePoints(stores),
    stays: new RoomStaysStore(),
    erased: new ErasedUsers(db, stores.users),
  })
  return {
    ...readers,
    accountExport: new AccountExport({
      ...stores,
      db,
      visibility,
      overviews: readers.accountOverviews,
      belongings: new AccountBelongingsStore(stores.events),
      media: shelf.administration,
      files: shelf.files,
    }),
  }
}

function createReaders({ db, serverName }: ReaderParts, stores: Stores): AdministrationReaders {
  const lookup = new EventLookup(db, stores)
  const cover = new AuthCover(db, { graph: stores.graph, lookup })
  return {
    accountOverviews: new AccountOverviews({ ...stores, db, serverName, listing: new AccountListingStore() }),
    eventExplanations: new EventExplanations({ ...stores, db }),
    roomOverviews: new RoomOverviews({ ...stores, db, listing: new RoomListingStore() }),
    stateExplanations: new StateExplanations({
      ...stores,
      db,
      explanation: new RoomExplanationStore(),
      conflicts: new ConflictResolver(db, { stateKeys: stores.stateKeys, lookup, cover }),
    }),
  }
}
