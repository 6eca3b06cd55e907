import { ROOM_VERSIONS, UNSTABLE_ROOM_VERSIONS } from '../../protocol/room-versions.js'
import type { ServerName } from '../../protocol/ids.js'
import type { RetentionPolicy } from '../../protocol/retention.js'
import type { JsonObject } from '../../util/json.js'
import { buildClientWellKnown, type ClientWellKnownOptions } from './client-well-known.js'
import type { PasswordChanges } from './password-changes.js'
import type { Profiles } from './profiles.js'
import type { Requester } from './requester.js'
import { buildSupportDocument } from './support-document.js'

export interface ServerDescriptionOptions {
  readonly serverName: ServerName
  /** The program's name and version, as the administration API says it. */
  readonly version: string
  readonly defaultRoomVersion: string
  /** `forget_rooms_on_leave`. */
  readonly forgetsRoomsOnLeave: boolean
  /** What is sent later: for how long at most, and how many at once. Undefined: nothing is. */
  readonly delayedEvents?: { readonly maxDelayMs: number; readonly maxScheduled: number } | undefined
  /** Users can add and remove e-mail addresses and telephone numbers. */
  readonly threepidChanges: boolean
  /** `login_via_existing_session`. */
  readonly loginTokens: { readonly enabled: boolean; readonly requireUiAuth: boolean }
  readonly wellKnown: ClientWellKnownOptions
  /** `admin_contact`. */
  readonly adminContact: string | undefined
  /** `serve_server_wellknown`. */
  readonly servesServerWellKnown: boolean
  /** How long messages are kept; undefined: that is not told. */
  readonly retention?: RetentionDescription | undefined
  /** Flags of `/versions` that depend on the configuration. */
  readonly configuredFeatures: Readonly<Record<string, boolean>>
}

/** `retention`, in milliseconds. */
export interface RetentionDescription {
  readonly defaultPolicy: RetentionPolicy
  readonly allowedLifetimeMinMs: number | undefined
  readonly allowedLifetimeMaxMs: number | undefined
}

export interface ServerDescriptionDependencies {
  readonly passwordChanges: Pick<PasswordChanges, 'isEnabled'>
  readonly profiles: Pick<Profiles, 'listForbiddenFields'>
  readonly options: ServerDescriptionOptions
}

/** What the server says of itself: nothing here is a secret, and nothing is claimed that is not served. */
export class ServerDescription {
  readonly #deps: ServerDescriptionDependencies
  readonly clientWellKnown: JsonObject | undefined
  /** `/.well-known/matrix/support`; undefined where the operator has named no contact. */
  readonly supportDocument: JsonObject | undefined

  constructor(deps: ServerDescriptionDependencies) {
    this.#deps = deps
    this.clientWellKnown = buildClientWellKnown(deps.options.wellKnown)
    this.supportDocument = buildSupportDocument(deps.options.adminContact)
  }

  get serverName(): ServerName {
    return this.#deps.options.serverName
  }

  get version(): string {
    return this.#deps.options.version
  }

  get loginTokens(): { readonly enabled: boolean; readonly requireUiAuth: boolean } {
    return this.#deps.options.loginTokens
  }

  /**
   * The policy for rooms that have none, and the limits of those that rooms have.
   * https://github.com/matrix-org/matrix-spec-proposals/pull/1763
   */
  get retention(): JsonObject | undefined {
    const { retention } = this.#deps.options
    if (retention === undefined) return undefined
    const { defaultPolicy, allowedLifetimeMinMs: min, allowedLifetimeMaxMs: max } = retention
    const { minLifetimeMs, maxLifetimeMs } = defaultPolicy
    const policy = withoutUndefined({ min_lifetime: minLifetimeMs, max_lifetime: maxLifetimeMs })
    const limit = withoutUndefined({ min, max })
    return {
      policies: isEmpty(policy) ? {} : { '*': policy },
      limits: isEmpty(limit) ? {} : { max_lifetime: limit },
    }
  }

  /** How clients reach each other in calls; undefined: this server says nothing of it. */
  get rtcTransports(): readonly JsonObject[] | undefined {
    return this.#deps.options.wellKnown.rtcTransports
  }

  get configuredFeatures(): Readonly<Record<string, boolean>> {
    return this.#deps.options.configuredFeatures
  }

  /** `/.well-known/matrix/server`: federation at the server's name, port 443; undefined where it is not served here. */
  get serverWellKnown(): JsonObject | undefined {
    const { servesServerWellKnown, serverName } = this.#deps.options
    return servesServerWellKnown ? { 'm.server': `${serverName}:443` } : undefined
  }

  /**
   * What the requester can do here.
   * https://spec.matrix.org/latest/client-server-api/#capabilities-negotiation
   */
  listCapabilities(requester: Pick<Requester, 'isAdmin'>): JsonObject {
    const { options, passwordChanges, profiles } = this.#deps
    const disallowed = profiles.listForbiddenFields()
    const profileFields = { enabled: true, ...(disallowed.length > 0 && { disallowed }) }
    const available: JsonObject = {}
    for (const version of ROOM_VERSIONS.keys()) available[version] = 'stable'
    for (const version of UNSTABLE_ROOM_VERSIONS.keys()) available[version] = 'unstable'
    return {
      'm.room_versions': { default: options.defaultRoomVersion, available },
      'm.change_password': { enabled: passwordChanges.isEnabled },
      'm.set_displayname': { enabled: !disallowed.includes('displayname') },
      'm.set_avatar_url': { enabled: !disallowed.includes('avatar_url') },
      'm.3pid_changes': { enabled: options.threepidChanges },
      'm.get_login_token': { enabled: options.loginTokens.enabled },
      'm.profile_fields': profileFields,
      'uk.tcpip.msc4133.profile_fields': profileFields,
      'm.forget_forced_upon_leave': { enabled: options.forgetsRoomsOnLeave },
      ...(options.delayedEvents && {
        'org.matrix.msc4140.delayed_events': {
          max_delay_ms: options.delayedEvents.maxDelayMs,
          max_scheduled: options.delayedEvents.maxScheduled,
        },
      }),
      ...(requester.isAdmin && { 'm.account_moderation': { suspend: true, lock: true } }),
    }
  }
}

function withoutUndefined(values: Readonly<Record<string, number | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

function isEmpty(object: JsonObject): boolean {
  return Object.keys(object).length === 0
}
