/**
 * What differs between room versions, as data. Each version is its predecessor plus its differences; no other
 * file compares version names.
 * https://spec.matrix.org/latest/rooms/
 */
export interface RoomVersionRules {
  readonly version: string
  /** `v1`: event IDs are inside the event; `v3`: hash in standard base64; `v4`: hash in URL-safe base64. */
  readonly eventIdFormat: 'v1' | 'v3' | 'v4'
  readonly stateResolution: 'v1' | 'v2' | 'v2.1'
  /** Signing keys must have been valid at `origin_server_ts` (v5). */
  readonly enforceKeyValidity: boolean
  /** Integers only, within ±(2^53 − 1), no `-0`, no floats (v6). */
  readonly strictCanonicalJson: boolean
  /** The rule that gives `m.room.aliases` to any member of the alias' server, and its redaction (up to v5). */
  readonly specialCaseAliases: boolean
  /** A change to `notifications` in the power levels is checked like other levels (v6). */
  readonly checkNotificationsPowerLevel: boolean
  readonly knock: boolean
  /** `restricted` joins; `m.room.join_rules` keeps `allow` when redacted (v8). */
  readonly restricted: boolean
  /** Redaction keeps `join_authorised_via_users_server` of members (v9). */
  readonly redactionKeepsAuthorisingUser: boolean
  readonly knockRestricted: boolean
  /** Power levels must be integers, not strings (v10). */
  readonly integerPowerLevels: boolean
  /** The redaction algorithm of v11: all of create's content, `redacts`, third-party invites' `signed`, `invite`. */
  readonly redactionV11: boolean
  /** The creator is the sender of the create event, whose content has no `creator` (v11). */
  readonly implicitCreator: boolean
  /** `redacts` is in the content, not at the top level (v11). */
  readonly redactsInContent: boolean
  /** Types, state keys and IDs have at most 255 bytes; 255 code points before (v11). */
  readonly fieldsMeasuredInBytes: boolean
  /** The room ID is the hash of the create event, which is in no event's `auth_events` (v12). */
  readonly roomIdIsCreateHash: boolean
  /** Creators have infinite power and `additional_creators` is valid and checked (v12). */
  readonly privilegedCreators: boolean
  /** `auth_events` of a redaction need not be checked on receipt: redactions follow a rule of their own (v3). */
  readonly redactionsCheckedOnApply: boolean
  /** A state key that begins with a user ID belongs to that user, and to those who are above them (MSC3757). */
  readonly ownedState: boolean
}

const v1: RoomVersionRules = {
  version: '1',
  eventIdFormat: 'v1',
  stateResolution: 'v1',
  enforceKeyValidity: false,
  strictCanonicalJson: false,
  specialCaseAliases: true,
  checkNotificationsPowerLevel: false,
  knock: false,
  restricted: false,
  redactionKeepsAuthorisingUser: false,
  knockRestricted: false,
  integerPowerLevels: false,
  redactionV11: false,
  implicitCreator: false,
  redactsInContent: false,
  fieldsMeasuredInBytes: false,
  roomIdIsCreateHash: false,
  privilegedCreators: false,
  redactionsCheckedOnApply: false,
  ownedState: false,
}
const v2: RoomVersionRules = { ...v1, version: '2', stateResolution: 'v2' }
const v3: RoomVersionRules = { ...v2, version: '3', eventIdFormat: 'v3', redactionsCheckedOnApply: true }
const v4: RoomVersionRules = { ...v3, version: '4', eventIdFormat: 'v4' }
const v5: RoomVersionRules = { ...v4, version: '5', enforceKeyValidity: true }
const v6: RoomVersionRules = {
  ...v5,
  version: '6',
  strictCanonicalJson: true,
  specialCaseAliases: false,
  checkNotificationsPowerLevel: true,
}
const v7: RoomVersionRules = { ...v6, version: '7', knock: true }
const v8: RoomVersionRules = { ...v7, version: '8', restricted: true }
const v9: RoomVersionRules = { ...v8, version: '9', redactionKeepsAuthorisingUser: true }
const v10: RoomVersionRules = { ...v9, version: '10', knockRestricted: true, integerPowerLevels: true }
const v11: RoomVersionRules = {
  ...v10,
  version: '11',
  redactionV11: true,
  implicitCreator: true,
  redactsInContent: true,
  fieldsMeasuredInBytes: true,
}
const v12: RoomVersionRules = {
  ...v11,
  version: '12',
  stateResolution: 'v2.1',
  roomIdIsCreateHash: true,
  privilegedCreators: true,
}

/** Every room version this server can take part in, all of them stable. */
export const ROOM_VERSIONS: ReadonlyMap<string, RoomVersionRules> = new Map(
  [v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12].map((rules) => [rules.version, rules]),
)

/**
 * Versions of proposals: not asked for or announced as stable, but understood.
 * https://github.com/matrix-org/matrix-spec-proposals/pull/3757
 */
export const UNSTABLE_ROOM_VERSIONS: ReadonlyMap<string, RoomVersionRules> = new Map(
  [v10, v11]
    .map((rules) => ({ ...rules, version: `org.matrix.msc3757.${rules.version}`, ownedState: true }))
    .map((rules) => [rules.version, rules]),
)

/** The rules of a version; undefined when this server does not know it. */
export function getRoomVersionRules(version: string): RoomVersionRules | undefined {
  return ROOM_VERSIONS.get(version) ?? UNSTABLE_ROOM_VERSIONS.get(version)
}
