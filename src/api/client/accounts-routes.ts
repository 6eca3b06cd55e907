import type { Route } from '../../http/route.js'
import * as accountData from './account-data.js'
import * as accountDataRemoval from './unstable/account-data-removal.js'
import * as accountDeactivation from './account-deactivation.js'
import * as capabilities from './capabilities.js'
import * as deviceManagement from './device-management.js'
import * as emailValidation from '../pages/email-validation.js'
import * as casTicket from '../pages/cas-ticket.js'
import * as newcomerPages from '../pages/newcomer-pages.js'
import * as oidcCallback from '../pages/oidc-callback.js'
import * as oidcLogout from '../pages/oidc-logout.js'
import * as pickIdp from '../pages/pick-idp.js'
import * as uiAuthFallback from '../pages/ui-auth-fallback.js'
import * as federationWhitelist from './federation-whitelist.js'
import * as filter from './filter.js'
import * as loginToken from './login-token.js'
import * as login from './login.js'
import * as logout from './logout.js'
import * as passwordManagement from './password-management.js'
import * as profile from './profile.js'
import * as pushrules from './pushrules.js'
import * as refresh from './refresh.js'
import * as registrationTokens from './registration-tokens.js'
import * as registration from './registration.js'
import * as tags from './tags.js'
import * as thirdPartyLookup from './third-party-lookup.js'
import * as versions from './versions.js'
import * as wellknown from './wellknown.js'
import * as whoami from './whoami.js'

const modules: readonly Readonly<Record<string, Route>>[] = [
  versions,
  wellknown,
  registration,
  registrationTokens,
  login,
  loginToken,
  refresh,
  logout,
  whoami,
  passwordManagement,
  emailValidation,
  uiAuthFallback,
  casTicket,
  newcomerPages,
  oidcCallback,
  oidcLogout,
  pickIdp,
  accountDeactivation,
  capabilities,
  deviceManagement,
  profile,
  pushrules,
  accountData,
  accountDataRemoval,
  tags,
  filter,
  federationWhitelist,
  thirdPartyLookup,
]

/** Accounts, sessions, and what users keep on the server. */
export const accountsRoutes: readonly Route[] = modules.flatMap((module) => Object.values(module))
