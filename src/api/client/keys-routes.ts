import type { Route } from '../../http/route.js'
import * as crossSigning from './cross-signing.js'
import * as keyBackup from './key-backup.js'
import * as keys from './keys.js'
import * as dehydratedDevices from './unstable/dehydrated-devices.js'

/** The endpoints of end-to-end encryption: keys of devices and users, backups, dehydrated devices. */
export const keysRoutes: readonly Route[] = [keys, crossSigning, keyBackup, dehydratedDevices].flatMap(
  (file) => Object.values<Route>(file),
)
