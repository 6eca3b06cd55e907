import { ROOM_VERSIONS } from '../../protocol/room-versions.js'
import { parseServerName } from '../../protocol/ids.js'
import { section } from '../section.js'
import {
  duration,
  flag,
  group,
  httpUrl,
  integer,
  jsonObject,
  listOf,
  looseText,
  optional,
  text,
  value,
  withDefault,
} from '../values.js'

const serverName = value('a server name, such as example.org or chat.example.org:8448', (raw) =>
  typeof raw === 'string' ? parseServerName(raw) : undefined,
)

const controlSocket = value<string | false>('the path of a socket, or false', (raw) =>
  raw === false || (typeof raw === 'string' && raw !== '') ? raw : undefined,
)

const roomVersion = value(`one of the room versions ${[...ROOM_VERSIONS.keys()].join(', ')}`, (raw) => {
  const version = typeof raw === 'number' ? String(raw) : raw
  return typeof version === 'string' && ROOM_VERSIONS.has(version) ? version : undefined
})

/** Who the server is, and how it deals with everybody. */
export const server = section(
  {
    server_name: serverName,
    public_baseurl: optional(httpUrl),
    serve_server_wellknown: withDefault(flag, false),
    extra_well_known_client_content: withDefault(jsonObject, {}),
    default_identity_server: optional(httpUrl),
    web_client_location: optional(httpUrl),
    pid_file: optional(text),
    control_socket: optional(controlSocket),
    admin_contact: optional(text),
    hs_disabled: withDefault(flag, false),
    hs_disabled_message: withDefault(text, ''),
    report_stats: withDefault(flag, false),
    require_auth_for_profile_requests: withDefault(flag, false),
    limit_profile_requests_to_users_who_share_rooms: withDefault(flag, false),
    include_profile_data_on_invite: withDefault(flag, true),
    allow_public_rooms_without_auth: withDefault(flag, false),
    allow_public_rooms_over_federation: withDefault(flag, false),
    default_room_version: withDefault(roomVersion, '12'),
    filter_timeline_limit: withDefault(integer(-1), 100),
    block_non_admin_invites: withDefault(flag, false),
    delete_stale_devices_after: optional(duration),
    user_types: group({
      default_user_type: optional(looseText),
      extra_user_types: withDefault(listOf(looseText), []),
    }),
  },
  (raw, context) => {
    if (raw.report_stats) {
      context.warn(['report_stats'], 'mxhs sends no statistics to anybody')
    }
    const userTypes: readonly string[] = ['bot', 'support', ...raw.user_types.extra_user_types]
    const { default_user_type: defaultUserType } = raw.user_types
    if (defaultUserType !== undefined && !userTypes.includes(defaultUserType)) {
      context.fail(['user_types', 'default_user_type'], `must be one of ${userTypes.join(', ')}`)
    }
    return {
      serverName: raw.server_name,
      /** The base of all links, with a slash at its end. */
      publicBaseUrl: withSlash(raw.public_baseurl ?? `https://${raw.server_name}/`),
      /** Discovery tells clients of `publicBaseUrl` only when the operator has set it. */
      servesClientWellKnown: raw.public_baseurl !== undefined,
      servesServerWellKnown: raw.serve_server_wellknown,
      extraWellKnownClientContent: raw.extra_well_known_client_content,
      defaultIdentityServer: raw.default_identity_server,
      webClientLocation: raw.web_client_location,
      pidFile: raw.pid_file,
      /** Where commands reach the running server. Undefined: in the data directory; false: nowhere. */
      controlSocket: raw.control_socket,
      adminContact: raw.admin_contact,
      /** Nobody but administrators is served, and is told why. */
      isDisabled: raw.hs_disabled,
      disabledMessage: raw.hs_disabled_message,
      requireAuthForProfileRequests: raw.require_auth_for_profile_requests,
      limitProfileRequestsToUsersWhoShareRooms: raw.limit_profile_requests_to_users_who_share_rooms,
      includeProfileDataOnInvite: raw.include_profile_data_on_invite,
      allowPublicRoomsWithoutAuth: raw.allow_public_rooms_without_auth,
      allowPublicRoomsOverFederation: raw.allow_public_rooms_over_federation,
      defaultRoomVersion: raw.default_room_version,
      /** Undefined: no bound. */
      filterTimelineLimit: raw.filter_timeline_limit < 0 ? undefined : raw.filter_timeline_limit,
      blockNonAdminInvites: raw.block_non_admin_invites,
      /** Undefined: devices stay. */
      deleteStaleDevicesAfterMs: raw.delete_stale_devices_after,
      /** Of new accounts of which nobody says what they are; undefined: none. */
      defaultUserType,
      /** All that an account may have: the two built in, and the operator's own. */
      userTypes,
    }
  },
)

function withSlash(url: string): string {
  return url.endsWith('/') ? url : `${url}/`
}
