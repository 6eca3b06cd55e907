import { AccessTokens } from '../services/accounts/access-tokens.js'
import { AccountDataRemoval } from '../services/accounts/account-data-removal.js'
import { DelegatedTokens } from '../services/accounts/delegated-tokens.js'
import { Login } from '../services/accounts/login.js'
import { Logout } from '../services/accounts/logout.js'
import { Passwords } from '../services/accounts/passwords.js'
import type { Authenticator } from '../services/accounts/requester.js'
import { TokenIssuer } from '../services/accounts/token-issuer.js'
import { UiAuth } from '../services/accounts/ui-auth.js'
import {
  captchaStage,
  credentialStage,
  dummyStage,
  emailIdentityStage,
  passwordStage,
  registrationTokenStage,
  signOnStage,
  termsStage,
} from '../services/accounts/ui-auth-stages.js'
import { ClientSightings } from '../services/devices/client-sightings.js'
import { Devices } from '../services/devices/devices.js'
import { CrossSigningStore } from '../storage/stores/cross-signing.js'
import type { UserId } from '../protocol/ids.js'
import type { AccountOptions, AccountParts, AccountStores } from './wire-accounts.js'

/** Constructs what lets people in, and knows who they are from then on. */
export function createSessions(parts: AccountParts, stores: AccountStores, options: AccountOptions) {
  const { db, clock, positions, onError } = parts
  const sightings = new ClientSightings({ db, clock, clientIps: stores.clientIps, onError })
  const { cacheSize, tracksPuppets = false } = options
  const delegated = createDelegatedTokens(parts, stores, { ...options, sightings })
  const accessTokens = new AccessTokens({
    ...stores,
    db,
    clock,
    sightings,
    cacheSize,
    tracksPuppets,
    ...(delegated && { onForgotten: (userId: UserId) => delegated.forgetUser(userId) }),
  })
  const devices = new Devices({
    db,
    clock,
    devices: stores.devices,
    crossSigning: new CrossSigningStore(),
    streamIds: parts.deviceListStream,
    positions,
    tokens: accessTokens,
    cleanups: [...parts.deviceCleanups, createRemoval(parts, stores)],
  })
  const passwords = new Passwords(parts.hasher, options.passwords)
  const tokenIssuer = new TokenIssuer({
    ...stores,
    db,
    clock,
    authenticator: accessTokens,
    lifetimes: options.lifetimes,
  })
  const login = new Login({
    ...stores,
    db,
    clock,
    devices,
    tokenIssuer,
    passwords,
    accountLimiter: parts.rateLimits.limiter('loginAccount'),
    failureLimiter: parts.rateLimits.limiter('loginFailedAttempts'),
    hasAppservices: () => (parts.registry?.list().length ?? 0) > 0,
    spam: parts.spam,
    credentialProviders: parts.credentialProviders,
    ...(parts.signOn && { listSignOnFlows: parts.signOn.listFlows }),
    ...(parts.providerSessions && { providerSessions: parts.providerSessions }),
    options: options.login,
  })
  const uiAuth = new UiAuth({
    ...stores,
    db,
    clock,
    stages: [
      dummyStage,
      passwordStage(login),
      registrationTokenStage(stores.registrationTokens, clock),
      emailIdentityStage(parts.emailValidations),
      signOnStage,
      ...login.credentialTypes.map((type) => credentialStage(type, login)),
      ...(parts.captcha ? [captchaStage(parts.captcha.publicKey, parts.captcha.check)] : []),
      ...(options.registration.terms ? [termsStage(options.registration.terms)] : []),
    ],
    listStages: async (userId) => {
      const stages = (await parts.signOn?.listStages(userId)) ?? ['m.login.password']
      return [...new Set([...login.provenStages, ...stages])]
    },
    reuseMs: options.uiAuthReuseMs,
  })
  const logout = new Logout({ db, devices, tokens: accessTokens })
  const people: Authenticator = delegated ?? accessTokens
  return { sightings, accessTokens, people, devices, passwords, tokenIssuer, login, uiAuth, logout }
}

function createDelegatedTokens(
  { db, clock, delegation }: AccountParts,
  { users, devices }: AccountStores,
  {
    registration,
    sightings,
    cacheSize,
  }: Pick<AccountOptions, 'registration' | 'cacheSize'> & { sightings: ClientSightings },
): DelegatedTokens | undefined {
  if (delegation === undefined) return undefined
  const { serverName } = registration
  return new DelegatedTokens({ ...delegation, db, clock, users, devices, sightings, serverName, cacheSize })
}

/** Constructs what removes account data with what it belongs to. */
export function createRemoval(parts: AccountParts, { accountData }: AccountStores): AccountDataRemoval {
  return new AccountDataRemoval({
    accountData,
    streamIds: parts.accountDataStream,
    positions: parts.positions,
  })
}
