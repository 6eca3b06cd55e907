import { AccountData } from '../services/accounts/account-data.js'
import type { CredentialProviders } from '../services/accounts/credential-providers.js'
import type { EmailValidations } from '../services/accounts/email-validations.js'
import { Filters, type FiltersDependencies } from '../services/accounts/filters.js'
import { JwtLogin, type JwtLoginOptions } from '../services/accounts/jwt-login.js'
import type { LoginFlow, LoginOptions, ProviderSessionNotes } from '../services/accounts/login.js'
import { PasswordChanges } from '../services/accounts/password-changes.js'
import type { PasswordHasher, Passwords, PasswordsOptions } from '../services/accounts/passwords.js'
import { Profiles, type ProfileOptions, type ProfilesDependencies } from '../services/accounts/profiles.js'
import { PushRules } from '../services/accounts/push-rules.js'
import type { RateLimits } from '../services/accounts/ratelimits.js'
import type { Authenticator } from '../services/accounts/requester.js'
import { RegistrationTokens } from '../services/accounts/registration-tokens.js'
import { ServerDescription, type ServerDescriptionOptions } from '../services/accounts/server-description.js'
import type { SpamChecks } from '../services/accounts/spam-checks.js'
import type { TokenLifetimes } from '../services/accounts/token-issuer.js'
import type { AppserviceQueries } from '../services/appservices/appservice-queries.js'
import type { AppserviceRegistry } from '../services/appservices/appservice-registry.js'
import type { CaptchaCheck } from '../services/accounts/ui-auth-stages.js'
import type { ClientSightings } from '../services/devices/client-sightings.js'
import type { DeviceCleanup } from '../services/devices/devices.js'
import {
  AccountDeactivation,
  type RoomLeaver,
  type UserCleanup,
} from '../services/journeys/account-deactivation.js'
import {
  AccountRegistration,
  type AutoJoiner,
  type RegistrationOptions,
} from '../services/journeys/account-registration.js'
import { NewcomerAddresses, type MailSubscriber } from '../services/journeys/newcomer-addresses.js'
import { RegistrationSessions } from '../services/journeys/registration-sessions.js'
import { SharedSecretRegistration } from '../services/journeys/shared-secret-registration.js'
import type { Services } from '../services/services.js'
import type { PositionSink } from '../services/streams/notifier.js'
import type { CacheRegistry } from '../storage/cache-registry.js'
import type { Database } from '../storage/database.js'
import { AccessTokensStore } from '../storage/stores/access-tokens.js'
import { AccountDataStore } from '../storage/stores/account-data.js'
import { ClientIpsStore } from '../storage/stores/client-ips.js'
import { DevicesStore } from '../storage/stores/devices.js'
import { FiltersStore } from '../storage/stores/filters.js'
import { LoginTokensStore } from '../storage/stores/login-tokens.js'
import { PolicyNoticesStore } from '../storage/stores/policy-notices.js'
import { ProfilesStore } from '../storage/stores/profiles.js'
import { PushRulesStore } from '../storage/stores/push-rules.js'
import { RefreshTokensStore } from '../storage/stores/refresh-tokens.js'
import { RegistrationTokensStore } from '../storage/stores/registration-tokens.js'
import { SessionsStore } from '../storage/stores/sessions.js'
import { ThreepidValidationsStore } from '../storage/stores/threepid-validations.js'
import { ThreepidsStore } from '../storage/stores/threepids.js'
import { UserConsentsStore } from '../storage/stores/user-consents.js'
import { UsersStore } from '../storage/stores/users.js'
import type { StreamIdGenerator } from '../storage/streams/stream-id-generator.js'
import type { DefaultRuleChoice } from '../protocol/default-push-rules.js'
import type { UserId } from '../protocol/ids.js'
import type { Clock } from '../util/clock.js'
import type { Delegation } from './wire-delegation.js'
import { createRemoval, createSessions } from './wire-sessions.js'

/** What the configuration says of accounts, section by section as the services want it. */
export interface AccountOptions {
  readonly registration: RegistrationOptions
  /** `email.notif_for_new_users`: what is unread is told to the address that people register with. */
  readonly notifiesByMail: boolean
  readonly login: LoginOptions
  /** `jwt_config`; undefined: nobody logs in that way. */
  readonly jwtLogin?: JwtLoginOptions | undefined
  readonly lifetimes: TokenLifetimes
  readonly profiles: ProfileOptions
  readonly passwords: PasswordsOptions
  /** `msc3391_enabled`: account data can be removed. */
  readonly accountDataRemoval: boolean
  readonly description: ServerDescriptionOptions
  readonly defaultPushRules: DefaultRuleChoice
  /** `registration_shared_secret`. */
  readonly sharedSecret: string | undefined
  /** `bot`, `support` and the operator's own. */
  readonly userTypes: readonly string[]
  /** `ui_auth.session_timeout`. */
  readonly uiAuthReuseMs: number
  /** `track_puppeted_user_ips` */
  readonly tracksPuppets?: boolean
  /** Entries in the caches of tokens and of filters. */
  readonly cacheSize: number
}

/** What accounts need of the rest of the server. */
export interface AccountParts {
  readonly db: Database
  readonly clock: Clock
  readonly positions: PositionSink
  readonly accountDataStream: Pick<StreamIdGenerator, 'allocate'>
  readonly deviceListStream: Pick<StreamIdGenerator, 'allocate'>
  readonly pushRulesStream: Pick<StreamIdGenerator, 'allocate'>
  readonly hasher: PasswordHasher
  /** `rc_login.account` and `rc_login.failed_attempts`. */
  readonly rateLimits: Pick<RateLimits, 'limiter'>
  readonly checkFilter: FiltersDependencies['check']
  readonly shareRoom: ProfilesDependencies['shareRoom']
  readonly onProfileChanged: ProfilesDependencies['onProfileChanged']
  readonly checkAvatar: ProfilesDependencies['checkAvatar']
  readonly remoteProfiles?: ProfilesDependencies['remoteProfiles']
  /** The application services; without it there are none. */
  readonly registry?: AppserviceRegistry
  readonly queries?: Pick<AppserviceQueries, 'hasUser'>
  /** Throws where there is no place for another account. */
  readonly checkNewcomer?: () => Promise<void>
  /** Keeps which devices end together with sessions elsewhere. */
  readonly providerSessions?: ProviderSessionNotes
  readonly deviceCleanups: readonly DeviceCleanup[]
  readonly userCleanups: readonly UserCleanup[]
  readonly autoJoiner: AutoJoiner
  readonly mailSubscriber?: MailSubscriber
  readonly emailValidations: Pick<EmailValidations, 'consume'>
  /** Puzzles for those who register, and who judges what they answer. */
  readonly captcha?: { readonly publicKey: string; readonly check: CaptchaCheck } | undefined
  readonly rooms: RoomLeaver
  readonly onErased?: () => void
  /** Where the tokens of people come from; without it, from this server. */
  readonly delegation?: Delegation | undefined
  /** For what fails with nobody waiting for it. */
  readonly onError: (error: unknown) => void
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: SpamChecks | undefined
  /** Who knows people besides this server. */
  readonly credentialProviders?: CredentialProviders | undefined
  /** What single sign-on has to do with logins; without it there is none. */
  readonly signOn?: {
    readonly listFlows: () => readonly LoginFlow[]
    readonly listStages: (userId: UserId) => Promise<readonly string[]>
  }
}

export type AccountStores = ReturnType<typeof createAccountStores>

export type AccountServices = Pick<
  Services,
  | 'accessTokens'
  | 'accountData'
  | 'accountDeactivation'
  | 'accountRegistration'
  | 'devices'
  | 'filters'
  | 'jwtLogin'
  | 'login'
  | 'logout'
  | 'passwordChanges'
  | 'profiles'
  | 'pushRules'
  | 'registrationTokens'
  | 'serverDescription'
  | 'sharedSecretRegistration'
  | 'tokenIssuer'
  | 'uiAuth'
> & {
  /** To be flushed when the server stops. */
  readonly sightings: ClientSightings
  readonly passwords: Passwords
  /** Knows the access tokens of people. */
  readonly people: Authenticator
}

/** The stores of accounts. `cacheSize`: before factors. */
export function createAccountStores(caches: CacheRegistry, options: { cacheSize: number }) {
  return {
    users: new UsersStore(),
    accessTokens: new AccessTokensStore(),
    refreshTokens: new RefreshTokensStore(),
    loginTokens: new LoginTokensStore(),
    devices: new DevicesStore(),
    clientIps: new ClientIpsStore(),
    profiles: new ProfilesStore(),
    pushRules: new PushRulesStore(caches, options),
    accountData: new AccountDataStore(),
    filters: new FiltersStore(),
    registrationTokens: new RegistrationTokensStore(),
    sessions: new SessionsStore(),
    threepids: new ThreepidsStore(),
    threepidValidations: new ThreepidValidationsStore(),
    userConsents: new UserConsentsStore(),
    policyNotices: new PolicyNoticesStore(),
  }
}

/** Constructs the services of accounts, each after those it needs. */
export function createAccountServices(
  parts: AccountParts,
  stores: AccountStores,
  options: AccountOptions,
): AccountServices {
  const sessions = createSessions(parts, stores, options)
  const userData = wireUserData(parts, stores, options)
  const { db, clock } = parts
  const { devices, accessTokens, passwords } = sessions
  const passwordChanges = new PasswordChanges({
    ...stores,
    db,
    devices,
    tokens: accessTokens,
    passwords,
    enabled: options.login.passwordReauth,
  })
  const accountRegistration = new AccountRegistration({
    ...stores,
    ...sessions,
    db,
    clock,
    registrationSessions: new RegistrationSessions({ db, clock, sessions: stores.sessions }),
    authenticator: accessTokens,
    autoJoiner: parts.autoJoiner,
    addresses: new NewcomerAddresses({
      ...stores,
      clock,
      mailSubscriber: options.notifiesByMail ? parts.mailSubscriber : undefined,
    }),
    ...(parts.registry && { namespaces: parts.registry }),
    options: options.registration,
  })
  return {
    ...sessions,
    ...userData,
    passwordChanges,
    accountRegistration,
    jwtLogin:
      options.jwtLogin &&
      new JwtLogin({
        ...stores,
        db,
        clock,
        registration: accountRegistration,
        checkNewcomer: parts.checkNewcomer,
        login: sessions.login,
        options: options.jwtLogin,
      }),
    accountDeactivation: new AccountDeactivation({
      ...stores,
      db,
      devices,
      tokens: accessTokens,
      rooms: parts.rooms,
      cleanups: parts.userCleanups,
      onErased: parts.onErased,
      onError: parts.onError,
    }),
    registrationTokens: new RegistrationTokens({
      ...stores,
      db,
      clock,
      enabled: accountRegistration.isOpen,
    }),
    serverDescription: new ServerDescription({
      passwordChanges,
      profiles: userData.profiles,
      options: options.description,
    }),
    sharedSecretRegistration: new SharedSecretRegistration({
      clock,
      registration: accountRegistration,
      sharedSecret: options.sharedSecret,
      userTypes: options.userTypes,
    }),
  }
}

function wireUserData(parts: AccountParts, stores: AccountStores, options: AccountOptions) {
  const { db, positions } = parts
  const pushRules = new PushRules({
    db,
    pushRules: stores.pushRules,
    streamIds: parts.pushRulesStream,
    positions,
    defaultRules: options.defaultPushRules,
  })
  const providers = new Map([['m.push_rules', (userId: UserId) => pushRules.get(userId)]])
  return {
    pushRules,
    profiles: new Profiles({
      db,
      users: stores.users,
      profiles: stores.profiles,
      shareRoom: parts.shareRoom,
      onProfileChanged: parts.onProfileChanged,
      checkAvatar: parts.checkAvatar,
      remoteProfiles: parts.remoteProfiles,
      queries: parts.queries,
      options: options.profiles,
    }),
    accountData: new AccountData({
      db,
      accountData: stores.accountData,
      streamIds: parts.accountDataStream,
      positions,
      providers,
      removal: options.accountDataRemoval ? createRemoval(parts, stores) : undefined,
    }),
    filters: new Filters({
      db,
      filters: stores.filters,
      check: parts.checkFilter,
      cacheSize: options.cacheSize,
    }),
  }
}
