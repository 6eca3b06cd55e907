import type { HomeserverConfig } from '../config/homeserver-config.js'
import { userIdOf, type UserId } from '../protocol/ids.js'
import { PRESETS, type RoomPreset } from '../services/rooms/room-presets.js'
import type { RoomOptions } from './wire-rooms.js'

const ALL_PRESETS = Object.keys(PRESETS) as RoomPreset[]

/** The sections of the configuration as the services of rooms want them. */
export function toRoomOptions(config: HomeserverConfig): RoomOptions {
  const { rooms, server, registration, experimental } = config
  const noticesFrom = noticesSenderOf(config)
  const notices = noticesFrom !== undefined && { noticesFrom }
  return {
    serverName: server.serverName,
    creation: {
      defaultRoomVersion: server.defaultRoomVersion,
      encryptedPresets: new Set(encryptedPresets(rooms.encryptedByDefault)),
      presetPowerLevels: rooms.powerLevelContentOverride,
    },
    membership: {
      perRoomProfiles: rooms.allowPerRoomProfiles,
      ...notices,
    },
    invitations: {
      onlyAdminsInvite: server.blockNonAdminInvites,
      includeProfile: server.includeProfileDataOnInvite,
      ...notices,
    },
    directory: {
      isSearchable: rooms.isDirectorySearchEnabled,
      withoutAuth: server.allowPublicRoomsWithoutAuth,
      forServers: server.allowPublicRoomsOverFederation,
    },
    aliasesNeedMembership: rooms.requireMembershipForAliases,
    aliasCreationRules: rooms.aliasCreationRules,
    publicationRules: rooms.publicationRules,
    autoJoin: {
      rooms: registration.autoJoin.rooms,
      createsRooms: registration.autoJoin.createsRooms,
      isFederated: registration.autoJoin.createsFederatedRooms,
      preset: registration.autoJoin.preset,
      inviterLocalpart: registration.autoJoin.inviterLocalpart,
    },
    remoteRooms: rooms.remoteLimit,
    asksIdentityServers: registration.asksIdentityServers,
    sendsSticky: experimental.stickyEvents,
  }
}

/** Who speaks for the server; undefined where the configuration has no `server_notices`. */
export function noticesSenderOf({ serverNotices, server }: HomeserverConfig): UserId | undefined {
  return serverNotices.sender && userIdOf(serverNotices.sender.localpart, server.serverName)
}

/** The presets whose rooms are encrypted from the beginning, by `encryption_enabled_by_default_for_room_type`. */
export function encryptedPresets(which: 'off' | 'invite' | 'all'): RoomPreset[] {
  if (which === 'off') return []
  return which === 'all' ? ALL_PRESETS : ALL_PRESETS.filter((preset) => PRESETS[preset].joinRule === 'invite')
}
