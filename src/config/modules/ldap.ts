import { z } from 'zod'
import { choice, flag, group, listOf, optional, text, value, withDefault } from '../values.js'
import { moduleKind, type ModuleContext } from './module-kind.js'

const someText = value('a text that is not empty', (raw) =>
  typeof raw === 'string' && raw !== '' ? raw : undefined,
)

/** https://www.rfc-editor.org/rfc/rfc4512#section-2.5: a name or an OID. */
const attribute = value('the name of an attribute', (raw) =>
  typeof raw === 'string' && /^(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)$/.test(raw) ? raw : undefined,
)

/** Python's `ssl` has numbers: 0 is no check. */
const validation = value('true, false, or a number from 0 to 2', (raw) => {
  if (typeof raw === 'boolean') return raw
  return raw === 0 || raw === 1 || raw === 2 ? raw !== 0 : undefined
})

const anything = value<unknown>('anything', (raw) => raw)

const TLS_KEYS = {
  validate: optional(validation),
  ca_certs_file: optional(someText),
  ca_certs_data: optional(someText),
  local_certificate_file: optional(someText),
  local_private_key_file: optional(someText),
  local_private_key_password: optional(someText),
  valid_names: optional(listOf(someText, 'a list of names')),
  sni: optional(someText),
}

/** Of `ldap3.Tls`: these are Node's business here. */
const UNSERVED_TLS = {
  version: optional(anything),
  ssl_options: optional(anything),
  ca_certs_path: optional(anything),
  ciphers: optional(anything),
}

/** People log in with the password that a directory has of them. https://github.com/matrix-org/matrix-synapse-ldap3 */
export const ldapPasswords = moduleKind({
  classes: [
    'ldap_auth_provider.LdapAuthProviderModule',
    'ldap_auth_provider.LdapAuthProvider',
    'synapse.util.ldap_auth_provider.LdapAuthProvider',
  ],
  files: [['bind_password_file', 'bind_password']],
  inner: {
    tls_options: Object.keys({ ...TLS_KEYS, ...UNSERVED_TLS }),
    attributes: ['uid', 'name', 'mail'],
  },
  keys: {
    enabled: optional(flag),
    mode: optional(choice('simple', 'search')),
    uri: value('a URL that begins with ldap:// or ldaps://, or a list of them', (raw) => {
      const urls: unknown[] = Array.isArray(raw) ? raw : [raw]
      const isGood = urls.length > 0 && urls.every((url) => typeof url === 'string' && isLdapUrl(url))
      return isGood ? (urls as string[]) : undefined
    }),
    start_tls: withDefault(flag, false),
    validate_cert: optional(flag),
    tls_options: optional(group({ ...TLS_KEYS, ...UNSERVED_TLS })),
    base: someText,
    attributes: z.object({ uid: attribute, name: attribute, mail: attribute }, { error: 'a map' }),
    bind_dn: optional(someText),
    bind_password: optional(text),
    filter: optional(
      value('filters of LDAP in brackets, such as (objectClass=person)', (raw) =>
        typeof raw === 'string' && isBracketed(raw) ? raw : undefined,
      ),
    ),
    active_directory: withDefault(flag, false),
    default_domain: optional(someText),
  },
  build(raw, context) {
    if (raw.enabled === false) {
      context.warn(['enabled'], 'the directory is not asked: the module did not heed this')
      return undefined
    }
    checkTogether(raw, context)
    const tls = tlsOf(raw, context)
    checkSecrecy(raw, tls.verifies, context)
    return {
      kind: 'ldap' as const,
      urls: raw.uri,
      startTls: raw.start_tls,
      tls,
      base: raw.base,
      attributes: raw.attributes,
      search: searchOf(raw),
      /** Names are those of an Active Directory, with a domain; undefined: they are not. */
      activeDirectory: raw.active_directory
        ? { defaultDomain: raw.default_domain?.toLowerCase() }
        : undefined,
    }
  },
})

interface Settings {
  readonly mode: string | undefined
  readonly uri: readonly string[]
  readonly start_tls: boolean
  readonly validate_cert: boolean | undefined
  readonly tls_options: TlsOptions | undefined
  readonly bind_dn: string | undefined
  readonly bind_password: string | undefined
  readonly filter: string | undefined
}

type TlsOptions = z.output<ReturnType<typeof group<typeof TLS_KEYS & typeof UNSERVED_TLS>>>

function checkTogether(raw: Settings, { fail }: ModuleContext): void {
  const tls = raw.tls_options
  if (raw.validate_cert !== undefined && tls !== undefined) {
    fail(['validate_cert'], 'tls_options is set too: only one of them can be')
  }
  if (raw.bind_dn !== undefined && (raw.bind_password ?? '') === '') {
    fail(['bind_password'], 'is missing: expected the password that belongs to bind_dn')
  }
  if ((tls?.local_certificate_file === undefined) !== (tls?.local_private_key_file === undefined)) {
    fail(['tls_options'], 'local_certificate_file and local_private_key_file belong together')
  }
}

function checkSecrecy(
  { uri, start_tls: startTls }: Settings,
  verifies: boolean,
  { warn }: ModuleContext,
): void {
  if (!startTls && uri.some((url) => url.startsWith('ldap://'))) {
    warn(['uri'], 'passwords go to the directory unencrypted: use ldaps:// or start_tls')
  } else if (!verifies) {
    warn(['uri'], 'certificates are not checked: whoever is on the way can say who is let in')
  }
}

function tlsOf({ tls_options: tls, validate_cert: validates }: Settings, { warn }: ModuleContext) {
  for (const key of Object.keys(UNSERVED_TLS) as (keyof typeof UNSERVED_TLS)[]) {
    if (tls?.[key] !== undefined) warn(['tls_options', key], 'mxhs does not serve this key')
  }
  return {
    verifies: tls?.validate ?? validates ?? true,
    authorityFile: tls?.ca_certs_file,
    authorities: tls?.ca_certs_data,
    certificateFile: tls?.local_certificate_file,
    keyFile: tls?.local_private_key_file,
    keyPassword: tls?.local_private_key_password,
    /** Names that the certificate may be for; undefined: that of the URL. */
    names: tls?.valid_names,
    /** The name that the directory is told; undefined: that of the URL. */
    serverName: tls?.sni,
  }
}

/** How people are found below `base`; undefined: their DN is made of their name. */
function searchOf({ mode, bind_dn: dn, bind_password: password, filter }: Settings) {
  if (mode !== 'search' && dn === undefined) return undefined
  return {
    /** Who looks for them; undefined: nobody. */
    account: dn === undefined ? undefined : { dn, password: password ?? '' },
    /** What has to match, too. */
    filter,
  }
}

function isLdapUrl(text: string): boolean {
  if (!/^ldaps?:\/\//.test(text) || !URL.canParse(text)) return false
  const { username, password, hostname, pathname, search } = new URL(text)
  return username === '' && password === '' && hostname !== '' && /^\/?$/.test(pathname) && search === ''
}

/** Whether brackets open and close as they should, and nothing stands outside of them. */
function isBracketed(filter: string): boolean {
  let depth = 0
  for (const character of filter) {
    if (character === '(') depth += 1
    else if (depth === 0) return false
    else if (character === ')') depth -= 1
  }
  return depth === 0
}
