import { createPrivateKey } from 'node:crypto'
import type { z } from 'zod'
import type { KeyPath } from '../config-error.js'
import { PUBLIC_KEY_ALGORITHMS, providerBrand, providerIcon } from '../identity-provider-values.js'
import { section, type SectionContext } from '../section.js'
import {
  choice,
  flag,
  group,
  httpUrl,
  jsonObject,
  listOf,
  looseText,
  mapOf,
  optional,
  text,
  value,
  withDefault,
} from '../values.js'

const idpId = value('1 to 250 of the characters A-Z a-z 0-9 . _ ~ -', (raw) =>
  typeof raw === 'string' && /^[A-Za-z0-9._~-]{1,250}$/.test(raw) ? raw : undefined,
)
const someText = value('a text that is not empty', (raw) =>
  typeof raw === 'string' && raw !== '' ? raw : undefined,
)

const requirement = group({
  attribute: someText,
  value: optional(text),
  one_of: optional(listOf(text)),
})

const mapping = group({
  subject_template: optional(text),
  subject_claim: optional(someText),
  picture_template: optional(text),
  picture_claim: optional(someText),
  localpart_template: optional(text),
  display_name_template: optional(text),
  email_template: optional(text),
  confirm_localpart: withDefault(flag, false),
  extra_attributes: withDefault(mapOf(text), {}),
})

/** One provider, with Synapse's names and defaults. */
export const oidcProviderSettings = group({
  idp_id: optional(idpId),
  idp_name: optional(someText),
  idp_icon: optional(providerIcon),
  idp_brand: optional(providerBrand),
  discover: withDefault(flag, true),
  issuer: httpUrl,
  client_id: someText,
  client_secret: optional(someText),
  client_secret_jwt_key: optional(
    group({ key: optional(text), jwt_header: mapOf(text), jwt_payload: withDefault(mapOf(text), {}) }),
  ),
  client_auth_method: optional(choice('client_secret_basic', 'client_secret_post', 'none')),
  pkce_method: withDefault(choice('auto', 'always', 'never'), 'auto'),
  id_token_signing_alg_values_supported: optional(listOf(text, 'a list of algorithms')),
  scopes: withDefault(listOf(someText, 'a list of scopes'), ['openid']),
  authorization_endpoint: optional(httpUrl),
  token_endpoint: optional(httpUrl),
  userinfo_endpoint: optional(httpUrl),
  jwks_uri: optional(httpUrl),
  skip_verification: withDefault(flag, false),
  backchannel_logout_enabled: withDefault(flag, false),
  backchannel_logout_ignore_sub: withDefault(flag, false),
  user_profile_method: withDefault(choice('auto', 'userinfo_endpoint'), 'auto'),
  redirect_uri: optional(httpUrl),
  allow_existing_users: withDefault(flag, false),
  enable_registration: withDefault(flag, true),
  user_mapping_provider: group({ module: optional(text), config: mapping }),
  attribute_requirements: withDefault(listOf(requirement, 'a list of requirements'), []),
  // As `max_age`, which is a number to YAML.
  additional_authorization_parameters: withDefault(mapOf(looseText), {}),
  passthrough_authorization_parameters: withDefault(listOf(someText, 'a list of parameters'), []),
})

/** What its settings say of one provider. */
export type OidcProviderConfig = ReturnType<typeof buildProvider>

/** `oidc_providers`, and the one that `oidc_config` may describe: services that people sign on at by OpenID Connect. */
export const oidc = section(
  {
    oidc_providers: withDefault(listOf(oidcProviderSettings, 'a list of providers'), []),
    oidc_config: optional(jsonObject),
  },
  ({ oidc_providers: list, oidc_config: single }, context) => {
    const providers = list.map((settings, index) => {
      const path = ['oidc_providers', index]
      for (const key of ['idp_id', 'idp_name'] as const) {
        if (settings[key] === undefined) context.fail([...path, key], 'is missing: expected a text')
      }
      return buildProvider(settings, path, context)
    })
    if (single?.['enabled'] === true) {
      const parsed = oidcProviderSettings.safeParse(single)
      for (const issue of parsed.error?.issues ?? []) {
        context.fail(['oidc_config', ...(issue.path as KeyPath)], `expected ${issue.message}`)
      }
      if (parsed.success) providers.push(buildProvider(parsed.data, ['oidc_config'], context))
    }
    const ids = new Set<string>()
    providers.forEach(({ id }, index) => {
      const path = index < list.length ? ['oidc_providers', index, 'idp_id'] : ['oidc_config']
      if (ids.has(id)) context.fail(path, 'another provider has this idp_id')
      ids.add(id)
    })
    return { providers }
  },
)

type Settings = z.output<typeof oidcProviderSettings>

function buildProvider(raw: Settings, path: KeyPath, context: Pick<SectionContext, 'fail'>) {
  const fail = (key: string | KeyPath, message: string): void =>
    context.fail([...path, ...[key].flat()], message)
  checkEndpoints(raw, fail)
  checkParameters(raw, fail)
  checkMapping(raw, fail)
  return {
    /** `oidc`, which Synapse has always called the first one, or `oidc-` and a name. */
    id: raw.idp_id === undefined || raw.idp_id === 'oidc' ? 'oidc' : `oidc-${raw.idp_id}`,
    name: raw.idp_name ?? 'OIDC',
    icon: raw.idp_icon,
    brand: raw.idp_brand,
    issuer: raw.issuer,
    /** Endpoints are asked of the issuer; those that are given take precedence. */
    discovers: raw.discover,
    endpoints: {
      authorization: raw.authorization_endpoint,
      token: raw.token_endpoint,
      userinfo: raw.userinfo_endpoint,
      jwks: raw.jwks_uri,
    },
    /** `skip_verification`: plain HTTP will do, and what the provider says of itself is not looked at. */
    skipsVerification: raw.skip_verification,
    clientId: raw.client_id,
    clientSecret: raw.client_secret,
    clientSecretKey: clientKeyOf(raw, fail),
    clientAuthMethod: authMethodOf(raw, fail),
    pkce: raw.pkce_method,
    /** Undefined: what the provider says, or RS256. */
    signatureAlgorithms: algorithmsOf(raw, fail),
    scopes: raw.scopes,
    /** What is known of people comes from the userinfo endpoint; otherwise from the ID token. */
    usesUserinfo: !raw.scopes.includes('openid') || raw.user_profile_method === 'userinfo_endpoint',
    /** Undefined: this server's own. */
    redirectUri: raw.redirect_uri,
    additionalParameters: raw.additional_authorization_parameters,
    passthroughParameters: raw.passthrough_authorization_parameters,
    allowsExistingUsers: raw.allow_existing_users,
    registers: raw.enable_registration,
    requirements: raw.attribute_requirements.map(({ attribute, value, one_of }) => ({
      attribute,
      /** Any of them; undefined: the attribute has to be there. */
      values: value === undefined && one_of === undefined ? undefined : [value ?? [], one_of ?? []].flat(),
    })),
    mapping: mappingOf(raw.user_mapping_provider.config),
    logout: {
      isServed: raw.backchannel_logout_enabled,
      ignoresSubject: raw.backchannel_logout_ignore_sub,
    },
  }
}

type Fail = (key: string | KeyPath, message: string) => void

/** What is to be found out is found out later; what has to be said is looked at now. */
function checkEndpoints(raw: Settings, fail: Fail): void {
  const isPlain = (url: string | undefined): boolean => url?.startsWith('http://') === true
  if (!raw.skip_verification) {
    for (const key of [
      'issuer',
      'authorization_endpoint',
      'token_endpoint',
      'userinfo_endpoint',
      'jwks_uri',
    ] as const) {
      if (isPlain(raw[key])) fail(key, 'expected a URL that begins with https:// (see skip_verification)')
    }
  }
  if (raw.discover) return
  const openid = raw.scopes.includes('openid')
  const usesUserinfo = !openid || raw.user_profile_method === 'userinfo_endpoint'
  const last = usesUserinfo ? 'userinfo_endpoint' : 'jwks_uri'
  for (const key of ['authorization_endpoint', 'token_endpoint', last] as const) {
    if (raw[key] === undefined) fail(key, 'is missing: expected a URL, since discover is false')
  }
}

/** What this server says itself, since its security hangs on it. */
const OWN_PARAMETERS: ReadonlySet<string> = new Set([
  'client_id',
  'response_type',
  'redirect_uri',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  // In which all of them may stand.
  'request',
  'request_uri',
])

function checkParameters(raw: Settings, fail: Fail): void {
  const message = 'this server decides about this parameter itself'
  for (const name of Object.keys(raw.additional_authorization_parameters)) {
    if (OWN_PARAMETERS.has(name)) fail(['additional_authorization_parameters', name], message)
  }
  raw.passthrough_authorization_parameters.forEach((name, index) => {
    if (OWN_PARAMETERS.has(name)) fail(['passthrough_authorization_parameters', index], message)
  })
}

/** The name of what is served, now and before. */
const MAPPING_MODULES: readonly (string | undefined)[] = [
  undefined,
  'synapse.handlers.oidc.JinjaOidcMappingProvider',
  'synapse.handlers.oidc_handler.JinjaOidcMappingProvider',
]

function checkMapping({ user_mapping_provider: { module, config } }: Settings, fail: Fail): void {
  if (!MAPPING_MODULES.includes(module)) {
    fail(['user_mapping_provider', 'module'], 'modules in Python are not served: use templates in config')
  }
  for (const key of ['subject_claim', 'picture_claim'] as const) {
    const claim = config[key]
    if (claim !== undefined && !/^\w+$/.test(claim)) {
      fail(['user_mapping_provider', 'config', key], 'expected the name of a claim')
    }
  }
}

function mappingOf(config: Settings['user_mapping_provider']['config']) {
  return {
    subject: config.subject_template ?? `{{ user.${config.subject_claim ?? 'sub'} }}`,
    picture: config.picture_template ?? `{{ user.${config.picture_claim ?? 'picture'} }}`,
    /** Undefined: people choose theirs. */
    localpart: config.localpart_template,
    displayName: config.display_name_template,
    email: config.email_template,
    confirmsLocalpart: config.confirm_localpart,
    /** Told to the client with the answer of `/login`. */
    extraAttributes: config.extra_attributes,
  }
}

function algorithmsOf({ id_token_signing_alg_values_supported: given }: Settings, fail: Fail) {
  given?.forEach((name, index) => {
    if (!PUBLIC_KEY_ALGORITHMS.some((known) => known === name)) {
      const message = `expected one of ${PUBLIC_KEY_ALGORITHMS.join(', ')}`
      fail(['id_token_signing_alg_values_supported', index], message)
    }
  })
  return given === undefined || given.length === 0 ? undefined : given
}

function authMethodOf(raw: Settings, fail: Fail) {
  const hasSecret = raw.client_secret !== undefined || raw.client_secret_jwt_key !== undefined
  const method = raw.client_auth_method ?? (hasSecret ? 'client_secret_basic' : 'none')
  if (!hasSecret && method !== 'none') {
    fail('client_auth_method', 'there is no client_secret: expected none')
  }
  return method
}

/** What secrets are made with that a provider wants to be signed (Apple). */
function clientKeyOf({ client_secret_jwt_key: raw, client_secret: secret }: Settings, fail: Fail) {
  if (raw === undefined) return undefined
  const at = 'client_secret_jwt_key'
  if (secret !== undefined) fail(at, 'client_secret is set too: only one of them can be')
  const { alg: algorithm } = raw.jwt_header
  if (!PUBLIC_KEY_ALGORITHMS.some((known) => known === algorithm)) {
    fail([at, 'jwt_header'], `expected an alg out of ${PUBLIC_KEY_ALGORITHMS.join(', ')}`)
  }
  if (raw.key === undefined) {
    fail([at, 'key'], 'is missing: expected a private key in PEM, or key_file')
    return undefined
  }
  try {
    createPrivateKey(raw.key)
  } catch {
    fail([at, 'key'], 'expected a private key in PEM')
  }
  return { key: raw.key, header: { ...raw.jwt_header, alg: algorithm ?? '' }, payload: raw.jwt_payload }
}
