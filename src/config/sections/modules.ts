import type { KeyPath } from '../config-error.js'
import { httpAntispam } from '../modules/http-antispam.js'
import { inviteAccepter } from '../modules/invite-accepter.js'
import { ldapPasswords } from '../modules/ldap.js'
import type { ModuleKind } from '../modules/module-kind.js'
import { restPasswords } from '../modules/rest-passwords.js'
import { sharedSecretLogin } from '../modules/shared-secret.js'
import { describeUnserved } from '../modules/unserved-modules.js'
import { section, type SectionContext } from '../section.js'
import { group, jsonObject, listOf, optional, text, value, withDefault } from '../values.js'

/** The modules that this server has equivalents of. */
export const MODULE_KINDS = [
  sharedSecretLogin,
  ldapPasswords,
  restPasswords,
  httpAntispam,
  inviteAccepter,
] as const

/** The names of those that say who people are. */
export const CREDENTIAL_CLASSES: ReadonlySet<string> = new Set(
  [sharedSecretLogin, ldapPasswords, restPasswords].flatMap(({ classes }) => classes),
)

type SettingsOf<Kind> = Kind extends ModuleKind<infer Settings> ? Settings : never
type Settings = SettingsOf<(typeof MODULE_KINDS)[number]>

export type SharedSecretConfig = Extract<Settings, { kind: 'sharedSecret' }>
export type LdapConfig = Extract<Settings, { kind: 'ldap' }>
export type RestPasswordsConfig = Extract<Settings, { kind: 'rest' }>
export type CredentialProviderConfig = SharedSecretConfig | LdapConfig | RestPasswordsConfig

const entries = withDefault(
  listOf(
    group({
      module: text,
      config: optional(value<unknown>('a map', (raw) => raw)),
    }),
    'a list of modules',
  ),
  [],
)

/** `modules`, and the older keys for those that check passwords. */
export const modules = section(
  { modules: entries, password_providers: entries, ldap_config: optional(jsonObject) },
  (raw, context) => {
    const ldap = raw.ldap_config
    const found = [
      ...raw.modules.map((entry, index) => ({ ...entry, path: ['modules', index] })),
      // As Synapse: these come after all others.
      ...(ldap?.['enabled'] === true
        ? [{ module: ldapPasswords.classes[1]!, config: ldap, path: ['ldap_config'] }]
        : []),
      ...raw.password_providers.map((entry, index) => ({ ...entry, path: ['password_providers', index] })),
    ].flatMap((entry) => readModule(entry, context) ?? [])
    const accepters = found.filter((settings) => settings.kind === 'inviteAccepter')
    return {
      /** Who else knows who people are, in the order in which they are asked. */
      credentialProviders: found.filter(isCredentialProvider),
      /** Services that say what is spam, in the order in which they are asked. */
      antispam: found.filter((settings) => settings.kind === 'antispam'),
      /** The invitations that are accepted for people of this server; undefined: none. */
      acceptedInvitations: accepters[0],
    }
  },
)

function isCredentialProvider(settings: Settings): settings is CredentialProviderConfig {
  return settings.kind === 'sharedSecret' || settings.kind === 'ldap' || settings.kind === 'rest'
}

function readModule(
  { module: name, config, path }: { module: string; config?: unknown; path: KeyPath },
  { fail, warn }: Pick<SectionContext, 'fail' | 'warn'>,
): Settings | undefined {
  const kind = MODULE_KINDS.find(({ classes }) => classes.includes(name))
  if (kind === undefined) {
    warn([...path, 'module'], describeUnserved(name, path[0] === 'password_providers'))
    return undefined
  }
  // The oldest key has the settings right in it.
  const base = path[0] === 'ldap_config' ? path : [...path, 'config']
  return kind.read(config, {
    fail: (at, message) => fail([...base, ...at], message),
    warn: (at, message) => warn([...base, ...at], message),
  })
}
