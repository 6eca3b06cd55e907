import type { HomeserverConfig } from '../config/homeserver-config.js'
import { Templates } from '../net/templates.js'
import type { Services } from '../services/services.js'
import { ClientReturns } from '../services/sign-on/client-returns.js'
import { Newcomers } from '../services/sign-on/newcomers.js'
import { ProfilePictures } from '../services/sign-on/profile-pictures.js'
import { SignOnAccounts } from '../services/sign-on/sign-on-accounts.js'
import { SignOnAttempts } from '../services/sign-on/sign-on-attempts.js'
import { SignOnPages } from '../services/sign-on/sign-on-pages.js'
import { SignOn } from '../services/sign-on/sign-on.js'
import { ExternalIdsStore } from '../storage/stores/external-ids.js'
import { MediaStore } from '../storage/stores/media.js'
import { SignOnAttemptsStore } from '../storage/stores/sign-on-attempts.js'
import { SignOnNewcomersStore } from '../storage/stores/sign-on-newcomers.js'
import type { BackgroundWork } from './lifecycle.js'
import type { Base } from './wire-base.js'
import { createIdentityProviders, type IdentityProviders } from './wire-identity-providers.js'
import { createOidc } from './wire-oidc.js'
import type { People } from './wire-people.js'
import type { Views } from './wire-views.js'

const EXPIRY_MS = 10 * 60_000

/** Constructs single sign-on: the services that people use, and what becomes of those who come back. */
export function createSignOn(
  base: Base,
  people: People,
  views: Views,
): {
  readonly services: Pick<
    Services,
    'cas' | 'newcomers' | 'oidcLogouts' | 'oidcSignOns' | 'signOn' | 'signOnPages'
  >
  readonly background: BackgroundWork
} {
  const { parts, later, stores, shared, http } = base
  const { config, logger } = parts
  const { accounts } = people
  const providers = createIdentityProviders({ ...parts, http })
  const pages = new SignOnPages(createTemplates(config), { serverName: config.server.serverName })
  const common = { ...stores, ...shared, externalIds: new ExternalIdsStore(), pages, logger }
  const signOnAccounts = createSignOnAccounts(base, people, views)
  const returns = new ClientReturns({
    ...common,
    login: accounts.login,
    trustedClients: [...config.signOn.trustedClients, loginPageOf(config)],
  })
  const newcomers = createNewcomers(base, { providers, pages, returns, accounts: signOnAccounts })
  const signOn = new SignOn({
    ...common,
    providers: providers.list,
    attempts: new SignOnAttempts({ ...shared, attempts: new SignOnAttemptsStore() }),
    accounts: signOnAccounts,
    newcomers,
    returns,
    uiAuth: accounts.uiAuth,
    options: {
      publicBaseUrl: config.server.publicBaseUrl,
      offersCas: providers.cas !== undefined,
      updatesProfiles: config.signOn.updatesProfiles,
      passwordReauth: config.sessions.passwords.mayReauthenticate,
    },
  })
  later.provide({ signOn })
  const oidc = createOidc(base, people, { providers: providers.oidc, signOn })
  return {
    services: { ...oidc.services, cas: providers.cas, newcomers, signOn, signOnPages: pages },
    background: {
      ...oidc.background,
      tasks: [{ name: 'expire_sign_ons', intervalMs: EXPIRY_MS, run: () => signOn.deleteExpired() }],
    },
  }
}

function createSignOnAccounts(
  { parts, stores, shared, http, media }: Base,
  { accounts }: People,
  { discovery }: Views,
): SignOnAccounts {
  const { config, logger, registry } = parts
  const shown = { profileRows: stores.profiles, profiles: accounts.profiles }
  return new SignOnAccounts({
    ...stores,
    ...shared,
    ...shown,
    externalIds: new ExternalIdsStore(),
    registration: accounts.accountRegistration,
    pictures: new ProfilePictures({
      ...shared,
      ...shown,
      http: http.toStrangers,
      media: new MediaStore(),
      uploads: media.services.mediaUploads,
      maxBytes: config.rooms.maxAvatarSize,
    }),
    usage: discovery.services.usageLimits,
    namespaces: registry,
    logger,
    serverName: config.server.serverName,
  })
}

function createNewcomers(
  { parts: { config }, shared }: Base,
  parts: {
    readonly providers: IdentityProviders
    readonly pages: SignOnPages
    readonly returns: ClientReturns
    readonly accounts: SignOnAccounts
  },
): Newcomers {
  const { policy } = config.consent
  return new Newcomers({
    ...shared,
    ...parts,
    providers: parts.providers.list,
    newcomers: new SignOnNewcomersStore(),
    options: {
      serverName: config.server.serverName,
      policyVersion: policy?.isRequired === true ? policy.version : undefined,
      isSecure: config.server.publicBaseUrl.startsWith('https:'),
    },
  })
}

function createTemplates({ email, signOn, server }: HomeserverConfig): Templates {
  const custom = [email.customTemplateDirectory, signOn.templateDirectory]
  return new Templates({
    customDirectories: custom.filter((directory) => directory !== undefined),
    publicBaseUrl: server.publicBaseUrl,
  })
}

/** The page of this server that logs in for clients that know none of the ways to, and sends people back to itself. */
function loginPageOf({ server }: HomeserverConfig): string {
  return `${server.publicBaseUrl}_matrix/static/client/login`
}
