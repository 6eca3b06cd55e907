import type { HomeserverConfig } from '../config/homeserver-config.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { ClientSightings } from '../services/devices/client-sightings.js'
import type { Services } from '../services/services.js'
import type { PositionSink } from '../services/streams/notifier.js'
import type { Logger } from '../telemetry/logger.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { Clock } from '../util/clock.js'
import { BcryptHasher } from '../util/password-hash.js'
import { toAccountOptions } from './homeserver-options.js'
import { createAccountServices, createAccountStores, type AccountStores } from './wire-accounts.js'
import type { Storage } from './wire-storage.js'

export interface ServiceParts {
  readonly config: HomeserverConfig
  readonly storage: Storage
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly rateLimits: RateLimits
  /** The program's name and version. */
  readonly version: string
}

/** The services, and what only the process has to do with. */
export interface WiredServices {
  readonly services: Services
  readonly stores: AccountStores
  readonly sightings: ClientSightings
}

/** Constructs all services, each after those it needs. */
export function createServices(parts: ServiceParts): WiredServices {
  const { config, storage, clock, logger, metrics, version } = parts
  const { db, streams } = storage
  const stores = createAccountStores(storage.caches, { cacheSize: 10_000 })
  const positions: PositionSink = { onNewPosition: () => undefined }
  const { sightings, ...accounts } = createAccountServices(
    {
      db,
      clock,
      positions,
      accountDataStream: streams.accountData,
      deviceListStream: streams.deviceLists,
      pushRulesStream: streams.pushRules,
      hasher: new BcryptHasher({
        rounds: config.sessions.passwords.bcryptRounds,
        pepper: config.sessions.passwords.pepper,
      }),
      checkFilter: () => undefined,
      shareRoom: () => Promise.resolve(false),
      onProfileChanged: () => undefined,
      deviceCleanups: [],
      autoJoiner: { joinAutoJoinRooms: () => Promise.resolve() },
      rooms: { leaveAllRooms: () => Promise.resolve() },
      onError: (err) => logger.error({ err }, 'Work in the background failed'),
    },
    stores,
    toAccountOptions(config, version),
  )
  return { services: { ...accounts, metrics }, stores, sightings }
}
