import type { AccessTokens } from './accounts/access-tokens.js'
import type { AccountData } from './accounts/account-data.js'
import type { Filters } from './accounts/filters.js'
import type { Login } from './accounts/login.js'
import type { Logout } from './accounts/logout.js'
import type { PasswordChanges } from './accounts/password-changes.js'
import type { Profiles } from './accounts/profiles.js'
import type { PushRules } from './accounts/push-rules.js'
import type { RegistrationTokens } from './accounts/registration-tokens.js'
import type { ServerDescription } from './accounts/server-description.js'
import type { TokenIssuer } from './accounts/token-issuer.js'
import type { UiAuth } from './accounts/ui-auth.js'
import type { Devices } from './devices/devices.js'
import type { AccountDeactivation } from './journeys/account-deactivation.js'
import type { AccountRegistration } from './journeys/account-registration.js'
import type { SharedSecretRegistration } from './journeys/shared-secret-registration.js'
import type { Metrics } from '../telemetry/metrics.js'

/**
 * What the server does, as endpoints see it: one entry per service. Only types are imported here, so that a route
 * table can be listed without building a server.
 */
export interface Services {
  readonly accessTokens: AccessTokens
  readonly accountData: AccountData
  readonly accountDeactivation: AccountDeactivation
  readonly accountRegistration: AccountRegistration
  readonly devices: Devices
  readonly filters: Filters
  readonly login: Login
  readonly logout: Logout
  readonly metrics: Pick<Metrics, 'render'>
  readonly passwordChanges: PasswordChanges
  readonly profiles: Profiles
  readonly pushRules: PushRules
  readonly registrationTokens: RegistrationTokens
  readonly serverDescription: ServerDescription
  readonly sharedSecretRegistration: SharedSecretRegistration
  readonly tokenIssuer: TokenIssuer
  readonly uiAuth: UiAuth
}
