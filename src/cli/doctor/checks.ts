import { checkAuthenticationService } from './check-authentication-service.js'
import { checkClock } from './check-clock.js'
import { checkConfiguration } from './check-configuration.js'
import { checkDatabase } from './check-database.js'
import { checkDisk } from './check-disk.js'
import { checkDns } from './check-dns.js'
import { checkFederation } from './check-federation.js'
import { checkFiles } from './check-files.js'
import { checkIdentityProviders } from './check-identity-providers.js'
import { checkKeys } from './check-keys.js'
import { checkModules } from './check-modules.js'
import { checkProxy } from './check-proxy.js'
import { checkPush } from './check-push.js'
import { checkQueues } from './check-queues.js'
import { checkRooms } from './check-rooms.js'
import { checkServer } from './check-server.js'
import { checkSmtp } from './check-smtp.js'
import { checkTls } from './check-tls.js'
import { checkTurn } from './check-turn.js'
import { checkWellKnown } from './check-well-known.js'
import type { DoctorCheck } from './doctor-check.js'

/** All that `mxhs doctor` looks at, from inside out. */
export const DOCTOR_CHECKS: readonly DoctorCheck[] = [
  checkConfiguration,
  checkFiles,
  checkKeys,
  checkDisk,
  checkDatabase,
  checkRooms,
  checkQueues,
  checkServer,
  checkDns,
  checkTls,
  checkProxy,
  checkWellKnown,
  checkAuthenticationService,
  checkFederation,
  checkIdentityProviders,
  checkModules,
  checkClock,
  checkSmtp,
  checkTurn,
  checkPush,
]
