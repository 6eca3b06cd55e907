import type { RoomId } from '../../protocol/ids.js'
import { STRIPPED_STATE_TYPES } from '../../protocol/stripped-state.js'
import { section } from '../section.js'
import {
  choice,
  flag,
  group,
  integer,
  jsonObject,
  listOf,
  mapOf,
  optional,
  quantity,
  size,
  text,
  value,
  withDefault,
} from '../values.js'

/** A type with any state key, or with one. */
export interface StateEventKind {
  readonly type: string
  readonly stateKey: string | undefined
}

const stateEventKind = value<StateEventKind>('an event type, or a list of a type and a state key', (raw) => {
  if (typeof raw === 'string') return { type: raw, stateKey: undefined }
  if (!Array.isArray(raw) || raw.length !== 2) return undefined
  const [type, stateKey] = raw as unknown[]
  return typeof type === 'string' && typeof stateKey === 'string' ? { type, stateKey } : undefined
})

/** YAML takes `off` for false. */
const encryptedRooms = value<'off' | 'invite' | 'all'>('one of off, invite, all', (raw) =>
  raw === 'off' || raw === false ? 'off' : raw === 'invite' || raw === 'all' ? raw : undefined,
)

const rule = group({
  user_id: withDefault(text, '*'),
  alias: withDefault(text, '*'),
  room_id: withDefault(text, '*'),
  action: withDefault(choice('allow', 'deny'), 'allow'),
})

/** Globs; the first rule that matches decides. */
export interface DirectoryRule {
  readonly userId: string
  readonly alias: string
  readonly roomId: string
  readonly action: 'allow' | 'deny'
}

type RawRule = ReturnType<(typeof rule)['parse']>

const TOO_COMPLEX =
  'This room is larger than this server allows. Ask its administrator if you need to be in it.'

/** What rooms are like, and who may do what with them. */
export const rooms = section(
  {
    encryption_enabled_by_default_for_room_type: withDefault(encryptedRooms, 'off'),
    default_power_level_content_override: withDefault(mapOf(jsonObject), {}),
    require_membership_for_aliases: withDefault(flag, true),
    alias_creation_rules: optional(listOf(rule, 'a list of rules')),
    room_list_publication_rules: optional(listOf(rule, 'a list of rules')),
    enable_room_list_search: withDefault(flag, true),
    allow_per_room_profiles: withDefault(flag, true),
    max_avatar_size: optional(size),
    allowed_avatar_mimetypes: optional(listOf(text)),
    forget_rooms_on_leave: withDefault(flag, false),
    exclude_rooms_from_sync: withDefault(listOf(text, 'a list of room IDs'), []),
    exclude_rooms_from_presence: withDefault(listOf(text, 'a list of room IDs'), []),
    dummy_events_threshold: withDefault(integer(1), 10),
    limit_remote_rooms: group({
      enabled: withDefault(flag, false),
      complexity: withDefault(quantity, 1),
      complexity_error: withDefault(text, TOO_COMPLEX),
      admins_can_join: withDefault(flag, false),
    }),
    room_prejoin_state: group({
      disable_default_event_types: withDefault(flag, false),
      additional_event_types: withDefault(listOf(stateEventKind), []),
    }),
    user_directory: group({
      enabled: withDefault(flag, true),
      search_all_users: withDefault(flag, false),
      prefer_local_users: withDefault(flag, false),
      exclude_remote_users: withDefault(flag, false),
      show_locked_users: withDefault(flag, false),
    }),
  },
  (raw) => {
    const prejoin = raw.room_prejoin_state
    return {
      /** New rooms that are encrypted whatever their creator says: none, those by invitation only, or all. */
      encryptedByDefault: raw.encryption_enabled_by_default_for_room_type,
      /** By preset: what replaces the power levels of new rooms. */
      powerLevelContentOverride: raw.default_power_level_content_override,
      requireMembershipForAliases: raw.require_membership_for_aliases,
      /** Nothing that no rule matches may be done; without a list, everybody may name rooms. */
      aliasCreationRules: raw.alias_creation_rules?.map(directoryRule) ?? [ALLOW_ALL],
      /** Without a list, nobody but administrators publishes rooms. */
      publicationRules: raw.room_list_publication_rules?.map(directoryRule) ?? [],
      /** False: the room directory is empty for everybody. */
      isDirectorySearchEnabled: raw.enable_room_list_search,
      allowPerRoomProfiles: raw.allow_per_room_profiles,
      /** In bytes; undefined: any. */
      maxAvatarSize: raw.max_avatar_size,
      allowedAvatarMimetypes: raw.allowed_avatar_mimetypes,
      forgetOnLeave: raw.forget_rooms_on_leave,
      /** Rooms that no client is told of by syncs. */
      excludedFromSync: roomIds(raw.exclude_rooms_from_sync),
      /** Rooms in which people are not interested in each other's presence. */
      excludedFromPresence: roomIds(raw.exclude_rooms_from_presence),
      /** Rooms with more forward extremities than this have them joined. */
      maxExtremities: raw.dummy_events_threshold,
      /** Which rooms of other servers are too complex to be joined (one: 500 events of state); undefined: none. */
      remoteLimit: raw.limit_remote_rooms.enabled
        ? {
            maxComplexity: raw.limit_remote_rooms.complexity,
            message: raw.limit_remote_rooms.complexity_error,
            adminsMayJoin: raw.limit_remote_rooms.admins_can_join,
          }
        : undefined,
      /** The state that those see who are invited or knock. The create event is always part of it. */
      prejoinState: [
        ...(prejoin.disable_default_event_types ? ['m.room.create'] : STRIPPED_STATE_TYPES).map(
          (type): StateEventKind => ({ type, stateKey: '' }),
        ),
        ...prejoin.additional_event_types,
      ] as readonly StateEventKind[],
      userDirectory: {
        enabled: raw.user_directory.enabled,
        searchAllUsers: raw.user_directory.search_all_users,
        preferLocalUsers: raw.user_directory.prefer_local_users,
        excludeRemoteUsers: raw.user_directory.exclude_remote_users,
        showLockedUsers: raw.user_directory.show_locked_users,
      },
    }
  },
)

const ALLOW_ALL: DirectoryRule = { userId: '*', alias: '*', roomId: '*', action: 'allow' }

function directoryRule(raw: RawRule): DirectoryRule {
  return { userId: raw.user_id, alias: raw.alias, roomId: raw.room_id, action: raw.action }
}

function roomIds(ids: readonly string[]): ReadonlySet<RoomId> {
  return new Set(ids as readonly RoomId[])
}
