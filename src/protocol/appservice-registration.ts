import { isJsonObject, type JsonObject } from '../util/json.js'
import { localpartOf, serverNameOf, userIdOf, type ServerName, type UserId } from './ids.js'

/** IDs that an application service is interested in. */
export interface Namespace {
  readonly exclusive: boolean
  /** As written. */
  readonly regex: string
  matches(id: string): boolean
}

export type NamespaceKind = 'users' | 'aliases' | 'rooms'

/**
 * How an application service and this server know each other.
 * https://spec.matrix.org/latest/application-service-api/#registration
 */
export interface AppserviceRegistration {
  readonly id: string
  /** Without a slash at its end; undefined: it is sent nothing. */
  readonly url: string | undefined
  readonly asToken: string
  readonly hsToken: string
  /** The service's own user. */
  readonly senderId: UserId
  readonly namespaces: Readonly<Record<NamespaceKind, readonly Namespace[]>>
  readonly isRateLimited: boolean
  readonly protocols: readonly string[]
  /** `receive_ephemeral`: presence, typing and receipts are sent too. */
  readonly receivesEphemeral: boolean
  /** `org.matrix.msc3202`: changes of device lists and counts of one-time keys are sent too. */
  readonly receivesDeviceLists: boolean
  /** `io.element.msc4190`: devices are made without logging in. */
  readonly managesDevices: boolean
}

/** Either a registration or what is wrong with it: one sentence for each mistake. */
export type ParsedRegistration =
  { readonly registration: AppserviceRegistration } | { readonly problems: readonly string[] }

const KINDS = ['users', 'aliases', 'rooms'] as const
const SIGILS: Readonly<Record<NamespaceKind, string>> = { users: '@', aliases: '#', rooms: '!' }

/** Checks a registration as it stands in a file. `serverName`: of this server. */
export function parseRegistration(raw: unknown, serverName: ServerName): ParsedRegistration {
  if (!isJsonObject(raw)) return { problems: ['A registration is a map'] }
  const problems: string[] = []
  const text = (key: string): string => {
    const value = raw[key]
    if (typeof value === 'string' && value !== '') return value
    problems.push(`${key} must be a text`)
    return ''
  }
  const flag = (fallback: boolean, ...keys: readonly string[]): boolean => {
    const key = keys.find((candidate) => raw[candidate] !== undefined && raw[candidate] !== null)
    const value = key === undefined ? fallback : raw[key]
    if (typeof value === 'boolean') return value
    problems.push(`${key ?? ''} must be true or false`)
    return fallback
  }
  const id = text('id')
  const asToken = text('as_token')
  const hsToken = text('hs_token')
  const senderLocalpart = text('sender_localpart')
  if (asToken !== '' && asToken === hsToken) problems.push('as_token and hs_token must differ')
  if (/[@:\s]/.test(senderLocalpart))
    problems.push('sender_localpart must be the part before the server name')
  const registration: AppserviceRegistration = {
    id,
    asToken,
    hsToken,
    url: parseUrl(raw, problems),
    senderId: userIdOf(senderLocalpart, serverName),
    namespaces: parseNamespaces(raw['namespaces'], problems),
    isRateLimited: flag(true, 'rate_limited'),
    protocols: parseProtocols(raw['protocols'], problems),
    receivesEphemeral: flag(
      false,
      'receive_ephemeral',
      'push_ephemeral',
      'de.sorunome.msc2409.push_ephemeral',
    ),
    receivesDeviceLists: flag(false, 'org.matrix.msc3202'),
    managesDevices: flag(false, 'io.element.msc4190'),
  }
  return problems.length > 0 ? { problems } : { registration }
}

/** What a registration may surprise its operator with though it can be used. */
export function reviewRegistration(registration: AppserviceRegistration): string[] {
  const { namespaces, url } = registration
  const remarks: string[] = []
  for (const [name, token] of [
    ['as_token', registration.asToken],
    ['hs_token', registration.hsToken],
  ] as const) {
    if (!/^[!-~]+$/.test(token)) remarks.push(`${name} has spaces or signs that no header can carry`)
  }
  for (const kind of KINDS) {
    for (const { regex, exclusive } of namespaces[kind]) {
      if (!regex.replace(/^\^/, '').startsWith(SIGILS[kind]) && !/^\^?[.([\\]/.test(regex)) {
        remarks.push(`The regex ${regex} of ${kind} does not begin with ${SIGILS[kind]}: it matches nothing`)
      }
      if (exclusive && /^\^?[@#!]?\.[*+]/.test(regex)) {
        remarks.push(`The regex ${regex} of ${kind} is exclusive: nobody else can have any`)
      }
    }
  }
  if (url === undefined) remarks.push('Without a url the application service is sent nothing')
  return remarks
}

/** Whether the service acts for a user of this server: its own, or one of its namespaces. */
export function isInterestedInUser(
  { senderId, namespaces }: AppserviceRegistration,
  userId: string,
): boolean {
  if (userId === senderId) return true
  // Other servers' users are none of its business, whatever it says.
  if (serverNameOf(userId) !== serverNameOf(senderId)) return false
  return namespaces.users.some((namespace) => namespace.matches(userId))
}

/** Whether a user is the service's alone: nobody else reads what is for them. */
export function ownsUser(registration: AppserviceRegistration, userId: string): boolean {
  if (!isInterestedInUser(registration, userId)) return false
  return userId === registration.senderId || isInNamespace(registration, 'users', userId, { exclusive: true })
}

/** Whether an ID is of a namespace. */
export function isInNamespace(
  { namespaces }: AppserviceRegistration,
  kind: NamespaceKind,
  id: string,
  options: { exclusive?: boolean } = {},
): boolean {
  return namespaces[kind].some(
    (namespace) => (namespace.exclusive || options.exclusive !== true) && namespace.matches(id),
  )
}

/** The registration in the words of its file. */
export function registrationJson(registration: AppserviceRegistration): JsonObject {
  const list = (kind: NamespaceKind): JsonObject[] =>
    registration.namespaces[kind].map(({ exclusive, regex }) => ({ exclusive, regex }))
  return {
    id: registration.id,
    url: registration.url ?? null,
    as_token: registration.asToken,
    hs_token: registration.hsToken,
    sender_localpart: localpartOf(registration.senderId),
    namespaces: { users: list('users'), aliases: list('aliases'), rooms: list('rooms') },
    rate_limited: registration.isRateLimited,
    protocols: [...registration.protocols],
    receive_ephemeral: registration.receivesEphemeral,
    'org.matrix.msc3202': registration.receivesDeviceLists,
    'io.element.msc4190': registration.managesDevices,
  }
}

function parseUrl(raw: JsonObject, problems: string[]): string | undefined {
  const { url } = raw
  if (url === null || url === '') return undefined
  if (typeof url === 'string' && /^https?:\/\//.test(url) && URL.canParse(url)) return url.replace(/\/+$/, '')
  problems.push('url must be a URL of http or https, or null')
  return undefined
}

function parseProtocols(value: unknown, problems: string[]): string[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && value.every((item): item is string => typeof item === 'string')) return value
  problems.push('protocols must be a list of texts')
  return []
}

function parseNamespaces(value: unknown, problems: string[]): Record<NamespaceKind, Namespace[]> {
  const parsed: Record<NamespaceKind, Namespace[]> = { users: [], aliases: [], rooms: [] }
  if (value === undefined || value === null) return parsed
  if (!isJsonObject(value)) {
    problems.push('namespaces must be a map')
    return parsed
  }
  for (const kind of KINDS) {
    const list = value[kind] ?? []
    if (!Array.isArray(list)) problems.push(`namespaces.${kind} must be a list`)
    else {
      for (const [index, item] of list.entries()) {
        const namespace = parseNamespace(item, `namespaces.${kind}[${index}]`, problems)
        if (namespace !== undefined) parsed[kind].push(namespace)
      }
    }
  }
  return parsed
}

function parseNamespace(item: unknown, where: string, problems: string[]): Namespace | undefined {
  const { regex, exclusive = false } = isJsonObject(item) ? item : {}
  if (typeof regex !== 'string') problems.push(`${where}.regex must be a text`)
  else if (typeof exclusive !== 'boolean') problems.push(`${where}.exclusive must be true or false`)
  else {
    try {
      const pattern = compile(regex)
      return { regex, exclusive, matches: (id) => pattern.test(id) }
    } catch (error) {
      problems.push(`${where}.regex is no regular expression: ${(error as Error).message}`)
    }
  }
  return undefined
}

/** From the start of an ID, to whatever end. Python's ways to name groups and to ignore case are understood. */
function compile(regex: string): RegExp {
  const ignoresCase = regex.startsWith('(?i)')
  const translated = regex
    .replace(/^\(\?[a-z]+\)/, '')
    .replaceAll('(?P<', '(?<')
    .replaceAll('\\Z', '$')
  return new RegExp(`^(?:${translated})`, ignoresCase ? 'i' : '')
}
