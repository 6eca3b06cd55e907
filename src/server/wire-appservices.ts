import { performance } from 'node:perf_hooks'
import { clashOf, readRegistrationFiles } from '../config/appservice-files.js'
import type { HomeserverConfig } from '../config/homeserver-config.js'
import { AppserviceClient } from '../net/clients/appservice-client.js'
import { parseRegistration, type AppserviceRegistration } from '../protocol/appservice-registration.js'
import { AppserviceAuthenticator } from '../services/accounts/appservice-authenticator.js'
import type { Authenticator } from '../services/accounts/requester.js'
import type { ServerName } from '../protocol/ids.js'
import { AppservicePings } from '../services/appservices/appservice-pings.js'
import { AppserviceQueries } from '../services/appservices/appservice-queries.js'
import { ThirdPartyNetworks } from '../services/appservices/third-party-networks.js'
import type { ClientSightings } from '../services/devices/client-sightings.js'
import type { E2eKeys } from '../services/devices/e2e-keys.js'
import { AppserviceAudience } from '../services/delivery/appservice-audience.js'
import { AppserviceEphemeral } from '../services/delivery/appservice-ephemeral.js'
import { AppserviceSender } from '../services/delivery/appservice-sender.js'
import { AppserviceTransactions } from '../services/delivery/appservice-transactions.js'
import type { Presence } from '../services/ephemeral/presence.js'
import type { Typing } from '../services/ephemeral/typing.js'
import type { ClientEvents } from '../services/events/client-events.js'
import type { PrejoinState } from '../services/events/prejoin-state.js'
import type { AccountRegistration } from '../services/journeys/account-registration.js'
import { AppserviceAccounts } from '../services/journeys/appservice-accounts.js'
import type { Services } from '../services/services.js'
import type { LocalBus } from '../services/streams/local-bus.js'
import type { Database } from '../storage/database.js'
import { AppservicesStore } from '../storage/stores/appservices.js'
import { TimelinesStore } from '../storage/stores/timelines.js'
import type { Logger } from '../telemetry/logger.js'
import type { BackgroundWork } from './lifecycle.js'
import type { OutboundHttp } from './outbound-http.js'
import type { ServiceParts, Stores } from './wire-base.js'

/** What others need of application services before these can be told anything. */
export interface AppserviceLookups {
  readonly client: AppserviceClient
  readonly queries: AppserviceQueries
}

/** What application services need of the rest of the server. */
export interface AppserviceParts extends ServiceParts, AppserviceLookups {
  readonly bus: LocalBus
  /** Knows the access tokens of people. */
  readonly people: Authenticator
  readonly login: Services['login']
  readonly accountRegistration: AccountRegistration
  readonly sightings: ClientSightings
  readonly clientEvents: ClientEvents
  readonly prejoin: PrejoinState
  readonly e2eKeys: E2eKeys
  readonly presence: Presence
  readonly typing: Typing
  readonly onError: (error: unknown) => void
}

export type AppserviceServices = Pick<
  Services,
  'appserviceAccounts' | 'appservicePings' | 'thirdPartyNetworks'
>

/**
 * The registrations of the configuration's files and those in the database. Rejects with a `RegistrationFileError`; what
 * clashes in the database is left out and logged.
 */
export async function loadAppservices(
  { appservices, server }: Pick<HomeserverConfig, 'appservices' | 'server'>,
  { db, logger }: { db: Database; logger: Pick<Logger, 'warn'> },
): Promise<AppserviceRegistration[]> {
  const registrations = await readRegistrationFiles(appservices.files, server.serverName)
  for (const json of await new AppservicesStore().listRegistrations(db.reader)) {
    const added = parseAdded(json, server.serverName, registrations)
    if (typeof added === 'string') logger.warn({ problem: added }, 'An added application service is not used')
    else registrations.push(added)
  }
  return registrations
}

function parseAdded(
  json: unknown,
  serverName: ServerName,
  others: readonly AppserviceRegistration[],
): AppserviceRegistration | string {
  const parsed = parseRegistration(json, serverName)
  if ('problems' in parsed) return parsed.problems.join('; ')
  return clashOf(parsed.registration, others) ?? parsed.registration
}

/** Constructs what asks application services. */
export function createAppserviceLookups(
  parts: ServiceParts & { readonly http: OutboundHttp },
): AppserviceLookups {
  const { config, registry, logger } = parts
  const client = new AppserviceClient(parts.http.toOwn, {
    sendsTokenInQuery: config.appservices.sendsTokenInQuery,
  })
  return {
    client,
    queries: new AppserviceQueries({ registry, client, logger }),
  }
}

/** Constructs what serves application services and what tells them of events. */
export function createAppserviceServices(
  parts: AppserviceParts,
  stores: Stores,
): {
  services: AppserviceServices
  background: BackgroundWork
  authenticator: AppserviceAuthenticator
  audience: AppserviceAudience
} {
  const { config, clock, registry, client, storage } = parts
  const { db } = storage
  const audience = new AppserviceAudience({ ...stores, db, caches: storage.caches, registry })
  const sender = createSender(parts, stores, audience)
  const accounts = new AppserviceAccounts({
    ...stores,
    db,
    clock,
    registry,
    login: parts.login,
    registration: parts.accountRegistration,
    serverName: config.server.serverName,
  })
  return {
    audience,
    services: {
      appserviceAccounts: accounts,
      appservicePings: new AppservicePings({
        registry,
        client,
        monotonicMs: () => performance.now(),
        onAlive: (id) => sender.retryNow(id),
      }),
      thirdPartyNetworks: new ThirdPartyNetworks({ registry, client, clock }),
    },
    background: {
      async start() {
        await accounts.ensureSenders()
        sender.start()
      },
      stop: () => sender.stop(),
    },
    authenticator: new AppserviceAuthenticator({
      ...stores,
      db,
      registry,
      people: parts.people,
      sightings: config.appservices.tracksAddresses ? parts.sightings : undefined,
    }),
  }
}

function createSender(
  parts: AppserviceParts,
  stores: Stores,
  audience: AppserviceAudience,
): AppserviceSender {
  const { storage, bus, registry, clientEvents, queries, client, clock, logger, onError } = parts
  const { typing, presence, e2eKeys } = parts
  const { db, streams } = storage
  const shared = { ...stores, db, registry, clientEvents, queries }
  const transactions = new AppserviceTransactions({
    ...shared,
    audience,
    prejoin: parts.prejoin,
    timelines: new TimelinesStore(),
    ephemeral: new AppserviceEphemeral({
      ...shared,
      audience,
      typing,
      presence,
      e2eKeys,
      excludedFromPresence: parts.config.rooms.excludedFromPresence,
    }),
  })
  const sender = new AppserviceSender({
    ...shared,
    audience,
    transactions,
    client,
    clock,
    logger,
    onError,
    heads: () => ({
      events: streams.events.position(),
      receipts: streams.receipts.position(),
      presence: streams.presence.position(),
      toDevice: streams.toDevice.position(),
      deviceLists: streams.deviceLists.position(),
      typing: typing.position(),
    }),
  })
  bus.subscribe(sender)
  return sender
}
