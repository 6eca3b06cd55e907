import { providerBrand, providerIcon } from '../identity-provider-values.js'
import { section } from '../section.js'
import {
  flag,
  group,
  httpUrl,
  integer,
  listOf,
  looseText,
  optional,
  text,
  value,
  withDefault,
} from '../values.js'

const clientUrl = value('a URL with a host or a path, such as https://app.example.org/', (raw) =>
  typeof raw === 'string' && isClientUrl(raw) ? raw : undefined,
)

const prefix = value('letters and digits', (raw) =>
  typeof raw === 'string' && /^[a-zA-Z0-9]+$/.test(raw) ? raw : undefined,
)

/** Null: any value. */
const required = value<Readonly<Record<string, string | undefined>>>(
  'a map of attributes, each to a text or to nothing',
  (raw) => {
    if (raw === null || typeof raw !== 'object' || Array.isArray(raw)) return undefined
    const entries = Object.entries(raw)
    return entries.every(([, wanted]) => wanted === null || typeof wanted === 'string')
      ? Object.fromEntries(entries.map(([name, wanted]) => [name, (wanted as string | null) ?? undefined]))
      : undefined
  },
)

const casServer = optional(
  group({
    enabled: withDefault(flag, true),
    server_url: optional(httpUrl),
    protocol_version: withDefault(integer(1, 3), 2),
    displayname_attribute: optional(text),
    required_attributes: withDefault(required, {}),
    enable_registration: withDefault(flag, true),
    allow_numeric_ids: withDefault(flag, false),
    numeric_ids_prefix: withDefault(prefix, 'u'),
    idp_name: withDefault(looseText, 'CAS'),
    idp_icon: optional(providerIcon),
    idp_brand: optional(providerBrand),
  }),
)

/** Where people sign on instead of giving this server a password, and what becomes of it. */
export const signOn = section(
  {
    sso: group({
      client_whitelist: withDefault(listOf(clientUrl, 'a list of URLs'), []),
      update_profile_information: withDefault(flag, false),
      template_dir: optional(text),
    }),
    cas_config: casServer,
  },
  ({ sso, cas_config: cas }, context) => {
    const isOn = cas?.enabled === true
    if (isOn && cas.server_url === undefined) {
      context.fail(['cas_config', 'server_url'], 'is needed: the URL of the CAS server')
    }
    return {
      /** Clients to which people are sent without being asked. */
      trustedClients: sso.client_whitelist,
      /** At each login, names and pictures become what the service says. */
      updatesProfiles: sso.update_profile_information,
      /** Looked through for templates of pages after `templates.custom_template_directory`. */
      templateDirectory: sso.template_dir,
      /** Undefined: there is no CAS server. */
      cas: isOn
        ? {
            name: cas.idp_name,
            icon: cas.idp_icon,
            brand: cas.idp_brand,
            serverUrl: (cas.server_url ?? '').replace(/\/+$/, ''),
            protocolVersion: cas.protocol_version as 1 | 2 | 3,
            displayNameAttribute: cas.displayname_attribute,
            requiredAttributes: cas.required_attributes,
            registers: cas.enable_registration,
            numericPrefix: cas.allow_numeric_ids ? cas.numeric_ids_prefix : undefined,
          }
        : undefined,
    }
  },
)

/** `https://` alone, which would be everybody, is none. */
function isClientUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { username, password } = new URL(text)
  return username === '' && password === ''
}
