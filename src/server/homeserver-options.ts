import type { HomeserverConfig } from '../config/homeserver-config.js'
import { encryptedPresets } from './room-options.js'
import type { AccountOptions } from './wire-accounts.js'
import type { EphemeralOptions } from './wire-ephemeral.js'

/** Entries in the caches of tokens, filters and push rules, before factors. */
export const SESSION_CACHE_SIZE = 20_000
/** How many passwords are hashed at once: the thread pool has four threads, which files and DNS need too. */
const HASHING_CONCURRENCY = 2

/** The sections of the configuration as the services of accounts want them. `version`: of the program. */
export function toAccountOptions(config: HomeserverConfig, version: string): AccountOptions {
  const { server, sessions, registration } = config
  const { serverName } = server
  return {
    registration: {
      serverName,
      allowUnderscorePrefix: registration.allowUnderscorePrefix,
      enabled: registration.enabled,
      requiresToken: registration.requiresToken,
      requiresCaptcha: config.captcha.isRequired,
      requiresEmail: registration.requiresEmail,
      offersEmail: config.email.mail !== undefined,
      unavailableStage: registration.unavailableStage,
      terms: termsOf(config),
      guests: registration.allowGuestAccess,
      hideTakenNames: registration.inhibitUserInUseError,
      autoJoinGuests: registration.autoJoin.includesGuests,
      defaultUserType: server.defaultUserType,
    },
    notifiesByMail: config.email.mail?.notifiesNewUsers === true,
    login: {
      serverName,
      passwordLogin: sessions.passwords.mayLogIn,
      passwordReauth: sessions.passwords.mayReauthenticate,
      providedLogin: sessions.passwords.enabled === true,
      providedReauth: sessions.passwords.enabled !== false,
      loginTokens: sessions.loginTokens.enabled,
      loginTokenLifetimeMs: sessions.loginTokens.lifetimeMs,
    },
    jwtLogin: config.jwt.login && {
      ...config.jwt.login,
      serverName,
      allowUnderscorePrefix: registration.allowUnderscorePrefix,
    },
    lifetimes: sessions.lifetimes,
    profiles: {
      serverName,
      requireAuth: server.requireAuthForProfileRequests,
      onlySharedRooms: server.limitProfileRequestsToUsersWhoShareRooms,
      maySetDisplayName: registration.maySetDisplayName,
      maySetAvatarUrl: registration.maySetAvatarUrl,
      mayInhibitPropagation: config.experimental.profileInhibitPropagation,
      tellsServers: config.federation.allowsProfileLookup,
    },
    passwords: { policy: sessions.passwords.policy, concurrency: HASHING_CONCURRENCY },
    accountDataRemoval: config.experimental.accountDataRemoval,
    defaultPushRules: config.experimental.defaultPushRules,
    description: toDescription(config, version),
    sharedSecret: registration.sharedSecret,
    userTypes: server.userTypes,
    uiAuthReuseMs: sessions.uiAuthReuseMs,
    tracksPuppets: sessions.tracksPuppets,
    cacheSize: Math.max(100, Math.round(SESSION_CACHE_SIZE * config.caches.globalFactor)),
  }
}

function termsOf({ consent: { policy }, server }: HomeserverConfig): AccountOptions['registration']['terms'] {
  if (policy?.isRequired !== true) return undefined
  const { version, name } = policy
  return { version, name, url: `${server.publicBaseUrl}_matrix/consent?v=${encodeURIComponent(version)}` }
}

function toDescription(config: HomeserverConfig, version: string): AccountOptions['description'] {
  const { server, sessions, rooms, experimental } = config
  const delayedEvents = delayedEventLimits(config)
  return {
    serverName: server.serverName,
    version,
    defaultRoomVersion: server.defaultRoomVersion,
    forgetsRoomsOnLeave: rooms.forgetOnLeave,
    // Also without mail: addresses can be removed, and bound by an identity server.
    threepidChanges: config.registration.mayChangeThreepids,
    loginTokens: sessions.loginTokens,
    wellKnown: {
      publicBaseUrl: server.servesClientWellKnown ? server.publicBaseUrl : undefined,
      identityServerUrl: server.defaultIdentityServer,
      extra: server.extraWellKnownClientContent,
      rtcTransports: experimental.rtcTransports,
    },
    adminContact: server.adminContact,
    servesServerWellKnown: server.servesServerWellKnown,
    delayedEvents,
    retention: experimental.tellsRetention && config.retention.enabled ? config.retention : undefined,
    configuredFeatures: {
      ...encryptionFeatures(rooms),
      'org.matrix.msc2836': experimental.eventRelationships,
      'org.matrix.msc3391': experimental.accountDataRemoval,
      'org.matrix.msc4108': experimental.rendezvousByUrl,
      'org.matrix.msc3874': experimental.announcesRelationFilters,
      'org.matrix.msc4069': experimental.profileInhibitPropagation,
      'org.matrix.msc4140': delayedEvents !== undefined,
      'org.matrix.msc4143': experimental.rtcTransports !== undefined,
      'org.matrix.msc4306': experimental.threadSubscriptions,
      'org.matrix.msc4354': experimental.stickyEvents,
      'org.matrix.simplified_msc3575': experimental.slidingSync,
    },
  }
}

function delayedEventLimits({
  experimental: { maxEventDelayMs: maxDelayMs, maxDelayedEvents: maxScheduled },
}: HomeserverConfig): AccountOptions['description']['delayedEvents'] {
  return maxDelayMs === undefined || maxScheduled === 0 ? undefined : { maxDelayMs, maxScheduled }
}

/** Clients ask which rooms are encrypted anyway before they offer the choice. */
function encryptionFeatures({ encryptedByDefault }: HomeserverConfig['rooms']): Record<string, boolean> {
  const forced = encryptedPresets(encryptedByDefault)
  return {
    'io.element.e2ee_forced.public': forced.includes('public_chat'),
    'io.element.e2ee_forced.private': forced.includes('private_chat'),
    'io.element.e2ee_forced.trusted_private': forced.includes('trusted_private_chat'),
  }
}

/** What `presence` says, as the services of what passes by want it. */
export function toEphemeralOptions({ presence }: HomeserverConfig): EphemeralOptions {
  const { enabled, tracked, tellsOffline, lastActiveGranularityMs } = presence
  const { syncOnlineTimeoutMs, idleTimeoutMs } = presence
  const times = { lastActiveGranularityMs, syncOnlineTimeoutMs, idleTimeoutMs }
  return { presence: { enabled, tracked, tellsOffline, times } }
}
