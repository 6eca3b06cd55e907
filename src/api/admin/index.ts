import type { Route } from '../../http/route.js'
import { getRegistrationNonce, registerWithSharedSecret } from './register.js'
import { sendServerNotice, sendServerNoticeOnce } from './server-notices.js'
import { getServerVersion } from './server-version.js'

/** The administration API, at the paths of Synapse's. */
export const adminRoutes: readonly Route[] = [
  getRegistrationNonce,
  registerWithSharedSecret,
  getServerVersion,
  sendServerNotice,
  sendServerNoticeOnce,
]
