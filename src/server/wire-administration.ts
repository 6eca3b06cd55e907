import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { ServerName } from '../protocol/ids.js'
import {
  AccountAdministration,
  type AccountAdministrationDependencies,
} from '../services/administration/account-administration.js'
import { AccountOverviews } from '../services/administration/account-overviews.js'
import { EventExplanations } from '../services/administration/event-explanations.js'
import { RoomOverviews } from '../services/administration/room-overviews.js'
import { StateExplanations } from '../services/administration/state-explanations.js'
import { AuthCover } from '../services/events/auth-cover.js'
import { ConflictResolver } from '../services/events/conflict-resolver.js'
import { EventLookup } from '../services/events/pending-events.js'
import type { Services } from '../services/services.js'
import { CacheRegistry } from '../storage/cache-registry.js'
import type { Database } from '../storage/database.js'
import { AccountListingStore } from '../storage/stores/account-listing.js'
import { RoomExplanationStore } from '../storage/stores/room-explanation.js'
import { RoomListingStore } from '../storage/stores/room-listing.js'
import { createMetrics } from '../telemetry/metrics.js'
import { createStores, type Stores } from './wire-base.js'

export type AdministrationReaders = Pick<
  Services,
  'accountOverviews' | 'eventExplanations' | 'roomOverviews' | 'stateExplanations'
>

export type AdministrationServices = Pick<Services, 'accountAdministration'> & AdministrationReaders

interface ReaderParts {
  readonly db: Database
  readonly serverName: ServerName
}

/** Constructs what administrators do. */
export function createAdministration(
  parts: ReaderParts & Omit<AccountAdministrationDependencies, 'users' | 'loginTokens'>,
  stores: Stores,
): AdministrationServices {
  return {
    ...createReaders(parts, stores),
    accountAdministration: new AccountAdministration({ ...stores, ...parts }),
  }
}

/** What administrators read, without a server: a database is all that it takes. */
export function createAdministrationTools(
  db: Database,
  config: Pick<HomeserverConfig, 'caches' | 'server'>,
): AdministrationReaders {
  const caches = new CacheRegistry(createMetrics())
  return createReaders(
    { db, serverName: config.server.serverName },
    createStores({ config, storage: { caches } }),
  )
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
