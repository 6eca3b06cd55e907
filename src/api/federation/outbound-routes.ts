import type { Route } from '../../http/route.js'
import { getUserDevices } from './user-devices.js'
import { claimUserEncryptionKeys, queryUserEncryptionKeys } from './user-keys.js'

/** What other servers ask about users, their devices and what this server lists. */
export const outboundRoutes: readonly Route[] = [
  claimUserEncryptionKeys,
  getUserDevices,
  queryUserEncryptionKeys,
]
