import { isJsonObject, type JsonObject, type JsonValue } from '../util/json.js'
import type { KeyPath } from './config-error.js'
import { CREDENTIAL_CLASSES } from './sections/modules.js'

/** What cannot be together with an authentication service. */
export interface DelegationConflict {
  readonly path: KeyPath
  readonly message: string
}

/**
 * What is otherwise where an authentication service has the accounts and a configuration says nothing of it: there are
 * no passwords, and nobody changes addresses here. Changes `values`.
 */
export function applyDelegationDefaults(values: JsonObject): void {
  if (!isDelegated(values)) return
  values['enable_3pid_changes'] ??= false
  const passwords = (values['password_config'] ??= {})
  if (isJsonObject(passwords)) passwords['enabled'] ??= false
}

/**
 * The settings that an authentication service leaves no room for, since it does what they describe. They are those that
 * Synapse refuses; a setting that wants nothing is none. So is what described such a service before.
 */
export function conflictsWithDelegation(values: Readonly<JsonObject>): readonly DelegationConflict[] {
  const old = valueAt(values, OLD_SECTION)
  if (isTrue(old) && !isOff(old)) return [{ path: OLD_SECTION, message: WRITE_INSTEAD }]
  if (!isDelegated(values)) return []
  return CONFLICTS.filter(({ path, isWanted = isTrue }) => isWanted(valueAt(values, path))).map(
    ({ path, what }) => ({
      path,
      message: `${what} cannot be together with matrix_authentication_service, which does that`,
    }),
  )
}

/** What was written before the service had a key of its own. */
const OLD_SECTION = ['experimental_features', 'msc3861']
const WRITE_INSTEAD =
  'it is out of date: remove it, and write matrix_authentication_service instead, with enabled: true, ' +
  'the endpoint of the service, and as its secret what is admin_token here'

interface Conflict {
  readonly path: readonly string[]
  readonly what: string
  /** Whether a value asks for it; by default, whatever is true. */
  readonly isWanted?: (value: JsonValue | undefined) => boolean
}

const CONFLICTS: readonly Conflict[] = [
  { path: ['password_config', 'enabled'], what: 'passwords' },
  { path: ['enable_registration'], what: 'registration' },
  { path: ['enable_registration_captcha'], what: 'registration with a captcha' },
  { path: ['user_consent', 'version'], what: 'a policy to agree to' },
  { path: ['oidc_providers'], what: 'single sign-on' },
  { path: ['oidc_config', 'enabled'], what: 'single sign-on' },
  { path: ['cas_config', 'enabled'], what: 'single sign-on' },
  { path: ['saml2_config'], what: 'single sign-on', isWanted: (value) => isTrue(value) && !isOff(value) },
  { path: ['jwt_config', 'enabled'], what: 'login by tokens of other services' },
  { path: ['modules'], what: 'a provider of passwords', isWanted: hasCredentialProvider },
  { path: ['password_providers'], what: 'a provider of passwords' },
  { path: ['ldap_config', 'enabled'], what: 'a provider of passwords' },
  { path: ['login_via_existing_session', 'enabled'], what: 'login by an existing session' },
  { path: ['session_lifetime'], what: 'a lifetime of sessions' },
  { path: ['refresh_token_lifetime'], what: 'a lifetime of refresh tokens' },
  { path: ['nonrefreshable_access_token_lifetime'], what: 'a lifetime of access tokens' },
  { path: ['enable_3pid_changes'], what: 'changes of addresses' },
]

function hasCredentialProvider(modules: JsonValue | undefined): boolean {
  const names = Array.isArray(modules) ? modules.map((entry) => isJsonObject(entry) && entry['module']) : []
  return names.some((name) => typeof name === 'string' && CREDENTIAL_CLASSES.has(name))
}

function isDelegated(values: Readonly<JsonObject>): boolean {
  return valueAt(values, ['matrix_authentication_service', 'enabled']) === true
}

/** Nothing, zero, and what is empty want nothing. */
function isTrue(value: JsonValue | undefined): boolean {
  if (Array.isArray(value)) return value.length > 0
  if (isJsonObject(value)) return Object.keys(value).length > 0
  return Boolean(value)
}

function isOff(value: JsonValue | undefined): boolean {
  return isJsonObject(value) && value['enabled'] === false
}

function valueAt(values: Readonly<JsonObject>, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = values
  for (const key of path) value = isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  return value
}
