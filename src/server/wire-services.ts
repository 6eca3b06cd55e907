import type { Authenticator } from '../services/accounts/requester.js'
import type { Services } from '../services/services.js'
import type { Notifier } from '../services/streams/notifier.js'
import type { BackgroundServices, BackgroundWork } from './lifecycle.js'
import { createAdministration } from './wire-administration.js'
import { createAppserviceServices } from './wire-appservices.js'
import { createBase, type Base, type ServiceParts, type Stores } from './wire-base.js'
import { createCommunity, type Community } from './wire-community.js'
import { createDelayedEvents } from './wire-delayed-events.js'
import { createDeliveryServices } from './wire-delivery.js'
import { createInvitationAcceptance } from './wire-invitation-acceptance.js'
import { createLastingTasks } from './wire-lasting-tasks.js'
import { createAntispamPings } from './wire-modules.js'
import { createNotices } from './wire-notices.js'
import { createPeople, type People } from './wire-people.js'
import { createRelationships } from './wire-relationships.js'
import { createSignOn } from './wire-sign-on.js'
import { createStickyWork } from './wire-sticky-events.js'
import { createViews, type Views } from './wire-views.js'

/** The services, and what only the process has to do with. */
export interface WiredServices extends BackgroundServices {
  readonly services: Services
  readonly stores: Stores
  readonly notifier: Notifier
  /** Knows everybody who has an access token. */
  readonly authenticator: Authenticator
}

/** Constructs all services, each after those it needs. */
export function createServices(parts: ServiceParts): WiredServices {
  const base = createBase(parts)
  const people = createPeople(base)
  const community = createCommunity(base, people)
  const views = createViews(base, people, community)
  const { usageLimits } = views.discovery.services
  base.later.provide({ checkNewcomer: async () => usageLimits?.checkNewcomer() })
  const { appservices, delivery } = createDelivery(base, people, views)
  const { services: rooms, succession } = community.rooms
  const { delayedEvents, ...delayed } = createDelayedEvents(
    { ...parts, ...rooms, roomState: base.events.roomState, onError: base.shared.onError },
    base.stores,
  )
  const lasting = createLasting(base, community)
  const notices = createNotices(base, people, community, views)
  const signOn = createSignOn(base, people, views)
  const services: Services = {
    ...people.accounts,
    ...people.keys,
    ...people.ephemeral,
    ...rooms,
    ...views.readers,
    ...views.syncs,
    ...views.discovery.services,
    ...views.sliding.services,
    ...base.media.services,
    ...base.remote.services,
    ...appservices.services,
    ...delivery.services,
    ...community.inbound.services,
    ...community.outbound.services,
    ...community.membership.services,
    ...createRelationships(
      {
        ...parts,
        ...base.shared,
        ...base.remote,
        ...base.events,
        ...views,
        ...community,
        erased: base.erased,
      },
      base.stores,
      parts.config,
    ),
    ...createAdministrationOf(base, people, views),
    ...lasting.services,
    authenticationService: people.authenticationService,
    delayedEvents,
    ratelimitOverrides: parts.ratelimitOverrides,
    roomRepair: base.events.roomRepair,
    ...notices.services,
    ...signOn.services,
    toDevice: base.toDevice,
    metrics: parts.metrics,
  }
  return {
    services,
    stores: base.stores,
    notifier: views.notifier,
    authenticator: appservices.authenticator,
    succession,
    sightings: people.sightings,
    eventPersister: base.eventPersister,
    background: [
      signOn.background,
      ...backgroundOf(base, community, views),
      delayed.background,
      lasting.background,
      appservices.background,
      delivery.background,
      createInvitationAcceptance(base, people, community, views),
      ...notices.background,
      createAntispamPings(base),
    ],
  }
}

function createAdministrationOf(base: Base, { accounts, keys }: People, { discovery }: Views) {
  const { serverName, userTypes } = base.parts.config.server
  return createAdministration(
    {
      ...base.shared,
      ...accounts,
      serverName,
      userTypes,
      tokens: accounts.accessTokens,
      deactivation: accounts.accountDeactivation,
      registration: accounts.accountRegistration,
      profileFields: accounts.profiles,
      crossSigning: keys.crossSigning,
      onErasureChanged: () => base.erased.onErased(),
      identityBindings: discovery.services.identityBindings,
      destinations: base.remote.destinations,
    },
    base.stores,
  )
}

/** Constructs what goes on for longer than a request. */
function createLasting(base: Base, community: Community) {
  const { server, retention } = base.parts.config
  const { serverName } = server
  const { forgottenRoomsMs } = retention
  return createLastingTasks(
    { ...base.shared, ...base, ...community, serverName, forgottenRoomsMs },
    base.stores,
  )
}

/** Constructs what brings news to those who do not ask: pushers and application services. */
function createDelivery(base: Base, people: People, { reading, ignored, reads }: Views) {
  const { parts, later, stores, shared, bus, http, lookups, prejoin } = base
  const { accounts, keys, ephemeral, pushers, sightings } = people
  const { onError } = shared
  const common = { ...parts, ...accounts, ...ephemeral, ...reading, bus, onError }
  const appservices = createAppserviceServices({ ...common, ...lookups, ...keys, sightings, prejoin }, stores)
  later.provide({ audience: appservices.audience })
  const delivery = createDeliveryServices(
    {
      ...common,
      http,
      mail: base.mail,
      pushers,
      ignored,
      hiddenInviters: reads.hiddenInviters,
      tail: reads.tail,
    },
    stores,
  )
  return { appservices, delivery }
}

/** In the order in which it starts; it stops in the opposite one. */
function backgroundOf(
  { parts, shared, bus, events, http, remote, remoteDevices, media }: Base,
  { membership, inbound, outbound }: Community,
  { discovery, retention, sliding }: Views,
): readonly BackgroundWork[] {
  return [
    { stop: () => http.close() },
    remote.background,
    membership.completing,
    inbound.background,
    remoteDevices.background,
    outbound.background,
    ...discovery.background,
    ...retention.background,
    ...media.background,
    sliding.background,
    createStickyWork({ ...parts, ...shared, bus, retrials: events.stickyRetrials }),
  ]
}
