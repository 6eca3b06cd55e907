import type { Route } from '../../http/route.js'
import { deleteEventReport, getEventReport, listEventReports } from './event-reports.js'
import {
  deleteMedia,
  deleteMediaByDate,
  deleteMediaOfUser,
  listMediaOfRoom,
  purgeMediaCache,
  quarantineMedia,
  quarantineMediaOfRoom,
  quarantineMediaOfUser,
  unquarantineMedia,
} from './media.js'
import { getHistoryPurge, purgeHistory, purgeHistoryBefore } from './purge-history.js'
import { getRegistrationNonce, registerWithSharedSecret } from './register.js'
import {
  createRegistrationToken,
  deleteRegistrationToken,
  getRegistrationToken,
  listRegistrationTokens,
  updateRegistrationToken,
} from './registration-tokens.js'
import {
  blockRoom,
  deleteRoom,
  deleteRoomInBackground,
  getRoomDeletion,
  isRoomBlocked,
  listDeletionsOfRoom,
} from './room-shutdown.js'
import { getRoom, listMembersOfRoom, listRooms, listStateOfRoom } from './rooms.js'
import { sendServerNotice, sendServerNoticeOnce } from './server-notices.js'
import { getServerVersion } from './server-version.js'
import {
  deactivateUser,
  isUserAdmin,
  isUsernameAvailable,
  liftShadowBan,
  resetPassword,
  setUserAdmin,
  shadowBanUser,
  suspendUser,
  whoIsUser,
} from './user-actions.js'
import {
  deleteDeviceOfUser,
  deleteDevicesOfUser,
  getDeviceOfUser,
  listDevicesOfUser,
  listMembershipsOfUser,
  listRoomsOfUser,
  renameDeviceOfUser,
} from './user-belongings.js'
import { getUser, listUsers, listUsersOfAllKinds, putUser } from './users.js'

/** The administration API, at the paths of Synapse's. */
export const adminRoutes: readonly Route[] = [
  getRegistrationNonce,
  registerWithSharedSecret,
  getServerVersion,
  sendServerNotice,
  sendServerNoticeOnce,
  listUsers,
  listUsersOfAllKinds,
  getUser,
  putUser,
  deactivateUser,
  resetPassword,
  isUserAdmin,
  setUserAdmin,
  suspendUser,
  shadowBanUser,
  liftShadowBan,
  whoIsUser,
  isUsernameAvailable,
  listRoomsOfUser,
  listMembershipsOfUser,
  listDevicesOfUser,
  getDeviceOfUser,
  renameDeviceOfUser,
  deleteDeviceOfUser,
  deleteDevicesOfUser,
  listRooms,
  getRoom,
  listMembersOfRoom,
  listStateOfRoom,
  isRoomBlocked,
  blockRoom,
  deleteRoom,
  deleteRoomInBackground,
  getRoomDeletion,
  listDeletionsOfRoom,
  purgeHistory,
  purgeHistoryBefore,
  getHistoryPurge,
  listRegistrationTokens,
  createRegistrationToken,
  getRegistrationToken,
  updateRegistrationToken,
  deleteRegistrationToken,
  deleteMedia,
  deleteMediaByDate,
  deleteMediaOfUser,
  purgeMediaCache,
  quarantineMedia,
  unquarantineMedia,
  quarantineMediaOfRoom,
  quarantineMediaOfUser,
  listMediaOfRoom,
  listEventReports,
  getEventReport,
  deleteEventReport,
]
