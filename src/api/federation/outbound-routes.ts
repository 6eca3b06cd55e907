import type { Route } from '../../http/route.js'
import { getPublicRooms, queryPublicRooms } from './public-rooms.js'
import { queryProfile, queryRoomDirectory } from './query.js'
import { getSpaceHierarchy } from './space-hierarchy.js'
import { getUserDevices } from './user-devices.js'
import { claimUserEncryptionKeys, queryUserEncryptionKeys } from './user-keys.js'

/** What other servers ask about users, their devices and what this server lists. */
export const outboundRoutes: readonly Route[] = [
  claimUserEncryptionKeys,
  getPublicRooms,
  getSpaceHierarchy,
  getUserDevices,
  queryProfile,
  queryPublicRooms,
  queryRoomDirectory,
  queryUserEncryptionKeys,
]
