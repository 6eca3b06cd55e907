import type { HomeserverConfig } from '../config/homeserver-config.js'
import { CaptchaClient } from '../net/clients/captcha-client.js'
import { checkFilter } from '../protocol/event-filter.js'
import { serverNameOf, type RoomId, type UserId } from '../protocol/ids.js'
import type { EmailValidations } from '../services/accounts/email-validations.js'
import { PolicyConsents } from '../services/accounts/policy-consents.js'
import { KeyCleanup } from '../services/devices/key-cleanup.js'
import { DelayedEventsStore } from '../storage/stores/delayed-events.js'
import { DeviceProviderSessionsStore } from '../storage/stores/device-provider-sessions.js'
import { ThreadSubscriptionsStore } from '../storage/stores/thread-subscriptions.js'
import { BcryptHasher } from '../util/password-hash.js'
import { toAccountOptions, toEphemeralOptions } from './homeserver-options.js'
import type { OutboundHttp } from './outbound-http.js'
import { createPolicyPages } from './outbound-mail.js'
import { createAddressServices } from './wire-addresses.js'
import { createAccountServices } from './wire-accounts.js'
import type { Base } from './wire-base.js'
import { createDelegation, type Delegation } from './wire-delegation.js'
import { createPushers } from './wire-delivery.js'
import { createEphemeralServices } from './wire-ephemeral.js'
import { createKeyServices } from './wire-keys.js'
import { createCredentialProviders } from './wire-modules.js'
import { createPages } from './wire-pages.js'
import { createConnections } from './wire-sliding-sync.js'

export type People = ReturnType<typeof createPeople>

/** Constructs what knows people: their accounts and devices, their keys, and what they are doing. */
export function createPeople(base: Base) {
  const { parts, later, stores, shared, remoteDevices, toDevice } = base
  const { config, storage, clock } = parts
  const { streams } = storage
  const pushers = createPushers(parts, stores)
  const connections = createConnections(storage, clock)
  const { db } = storage
  const addresses = createAddressServices({ ...parts, db, mail: base.mail }, stores)
  const delegation = createDelegation({ ...parts, toOwn: base.http.toOwn })
  const { sightings, ...accounts } = createAccounts(base, {
    pushers,
    connections,
    delegation,
    ...addresses,
  })
  const { localKeys, ...keys } = createKeyServices(
    {
      ...shared,
      ...accounts,
      serverName: config.server.serverName,
      streams,
      toDevice,
      remoteKeys: remoteDevices.remoteKeys,
      tellsDeviceNames: config.federation.allowsDeviceNameLookup,
    },
    stores,
  )
  later.provide({
    pushRules: accounts.pushRules,
    profiles: accounts.profiles,
    registration: accounts.accountRegistration,
  })
  const policyConsents = createPolicyConsents(base)
  const pages = createPages({ config, templates: base.mail.templates, uiAuth: accounts.uiAuth })
  return {
    accounts: {
      ...accounts,
      ...addresses,
      ...pages,
      policyConsents,
      policyPages: createPolicyPages(config, policyConsents),
    },
    keys,
    localKeys,
    ephemeral: createEphemeral(base, accounts),
    sightings,
    pushers,
    connections,
    authenticationService: delegation?.service,
  }
}

function createAccounts(
  base: Base,
  {
    pushers,
    connections,
    emailValidations,
    delegation,
  }: {
    delegation: Delegation | undefined
    pushers: ReturnType<typeof createPushers>
    connections: ReturnType<typeof createConnections>
    emailValidations: EmailValidations
  },
) {
  const { parts, later, stores, shared, http, lookups, media, remoteLookups, toDevice, erased } = base
  const { config, storage, rateLimits, registry, version } = parts
  const { db, streams } = storage
  const keyCleanup = new KeyCleanup(stores)
  const providerSessions = new DeviceProviderSessionsStore()
  return createAccountServices(
    {
      ...shared,
      accountDataStream: streams.accountData,
      deviceListStream: streams.deviceLists,
      pushRulesStream: streams.pushRules,
      rateLimits,
      registry,
      queries: lookups.queries,
      hasher: createHasher(config),
      checkFilter,
      delegation,
      emailValidations,
      captcha: createCaptcha(config, http),
      spam: base.spam,
      credentialProviders: createCredentialProviders(base),
      mailSubscriber: pushers,
      onErased: () => erased.onErased(),
      shareRoom: (a, b) => stores.members.shareRoom(db.reader, a, b),
      onProfileChanged: (change) => later.get('profileUpdates').onProfileChanged(change),
      checkAvatar: (uri) => media.avatarRules.check(uri),
      remoteProfiles: remoteLookups.remoteProfiles,
      checkNewcomer: () => later.get('checkNewcomer')(),
      providerSessions,
      deviceCleanups: [toDevice, keyCleanup, pushers, connections, providerSessions],
      userCleanups: [keyCleanup, pushers, new ThreadSubscriptionsStore(), new DelayedEventsStore()],
      autoJoiner: { joinAutoJoinRooms: (userId) => later.get('autoJoin').joinAutoJoinRooms(userId) },
      signOn: {
        listFlows: () => later.get('signOn').listFlows(),
        listStages: (userId) => later.get('signOn').listStages(userId),
      },
      rooms: { leaveAllRooms: (userId) => later.get('departures').leaveAllRooms(userId) },
    },
    stores,
    toAccountOptions(config, version),
  )
}

function createEphemeral(
  { parts, later, stores, shared, events }: Base,
  { accountData, pushRules }: Pick<ReturnType<typeof createAccounts>, 'accountData' | 'pushRules'>,
) {
  const { config, storage } = parts
  const { db, caches, streams } = storage
  const { serverName } = config.server
  return createEphemeralServices(
    {
      ...shared,
      caches,
      receiptStream: streams.receipts,
      presenceStream: streams.presence,
      accountDataStore: stores.accountData,
      accountData,
      pushRules,
      roomState: events.roomState,
      isRemote: (userId) => serverNameOf(userId) !== serverName,
      isUnknown: async (userId) =>
        serverNameOf(userId) === serverName && !(await stores.users.exists(db.reader, userId)),
      // Of a room whose members are not all known, its servers are.
      mayBeIn: async (roomId: RoomId, userId: UserId) => {
        const room = await stores.rooms.get(db.reader, roomId)
        const partial = room && events.partialRooms.get(room.roomNid)
        return partial?.servers.includes(serverNameOf(userId)) === true
      },
      onTyping: (roomId, userId, typing) => {
        later.get('onTyping')(roomId, userId, typing)
      },
    },
    stores,
    toEphemeralOptions(config),
  )
}

function createHasher({ sessions }: HomeserverConfig): BcryptHasher {
  return new BcryptHasher({ rounds: sessions.passwords.bcryptRounds, pepper: sessions.passwords.pepper })
}

function createCaptcha({ captcha: { service } }: HomeserverConfig, http: OutboundHttp) {
  return service && { publicKey: service.publicKey, check: new CaptchaClient(http.toOwn, service) }
}

/** Undefined where nobody is told how to agree but who registers. */
function createPolicyConsents({ parts, stores, shared }: Base): PolicyConsents | undefined {
  const { server, sessions, consent } = parts.config
  if (consent.policy === undefined || sessions.formSecret === undefined) return undefined
  const { version, refusal } = consent.policy
  const { serverName, publicBaseUrl } = server
  return new PolicyConsents({
    ...shared,
    ...stores,
    options: { serverName, publicBaseUrl, version, refusal, secret: sessions.formSecret },
  })
}
