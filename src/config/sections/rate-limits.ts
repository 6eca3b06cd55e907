import { section } from '../section.js'
import { group, quantity, optional, size, withDefault } from '../values.js'

/** `burstCount` at once, and `perSecond` more as time goes by. */
export interface RateLimit {
  readonly perSecond: number
  readonly burstCount: number
}

const KIB = 1024
const MIB = 1024 * KIB

function rate(perSecond: number, burstCount: number) {
  return group({
    per_second: withDefault(quantity, perSecond),
    burst_count: withDefault(quantity, burstCount),
  }).transform((raw): RateLimit => ({ perSecond: raw.per_second, burstCount: raw.burst_count }))
}

const messageRate = rate(0.2, 10)

/** How often things may be done. */
export const rateLimits = section(
  {
    rc_message: messageRate,
    rc_registration: rate(0.17, 3),
    rc_registration_token_validity: rate(0.1, 5),
    rc_login: group({
      address: rate(0.003, 5),
      account: rate(0.003, 5),
      failed_attempts: rate(0.17, 3),
    }),
    rc_admin_redaction: optional(messageRate),
    rc_joins: group({ local: rate(0.1, 10), remote: rate(0.01, 10) }),
    rc_joins_per_room: rate(1, 10),
    rc_3pid_validation: rate(0.003, 5),
    rc_invites: group({ per_room: rate(0.3, 10), per_user: rate(0.003, 5), per_issuer: rate(0.3, 10) }),
    rc_third_party_invite: rate(0.0025, 5),
    rc_media_create: rate(10, 50),
    rc_key_requests: rate(20, 100),
    rc_presence: group({ per_user: rate(0.1, 1) }),
    rc_delayed_event_mgmt: rate(1, 5),
    rc_reports: rate(1, 5),
    rc_room_creation: rate(0.016, 10),
    rc_user_directory: rate(0.016, 200),
    remote_media_download_per_second: withDefault(size, 87 * KIB),
    remote_media_download_burst_count: withDefault(size, 500 * MIB),
  },
  (raw) => ({
    message: raw.rc_message,
    registration: raw.rc_registration,
    registrationTokenValidity: raw.rc_registration_token_validity,
    loginAddress: raw.rc_login.address,
    loginAccount: raw.rc_login.account,
    loginFailedAttempts: raw.rc_login.failed_attempts,
    /** As messages, unless it is set. */
    adminRedaction: raw.rc_admin_redaction ?? raw.rc_message,
    joinsLocal: raw.rc_joins.local,
    joinsRemote: raw.rc_joins.remote,
    joinsPerRoom: raw.rc_joins_per_room,
    threepidValidation: raw.rc_3pid_validation,
    invitesPerRoom: raw.rc_invites.per_room,
    invitesPerUser: raw.rc_invites.per_user,
    invitesPerIssuer: raw.rc_invites.per_issuer,
    thirdPartyInvite: raw.rc_third_party_invite,
    mediaCreate: raw.rc_media_create,
    keyRequests: raw.rc_key_requests,
    presencePerUser: raw.rc_presence.per_user,
    delayedEventManagement: raw.rc_delayed_event_mgmt,
    reports: raw.rc_reports,
    roomCreation: raw.rc_room_creation,
    userDirectory: raw.rc_user_directory,
    /** In bytes. */
    remoteMediaDownload: {
      perSecond: raw.remote_media_download_per_second,
      burstCount: raw.remote_media_download_burst_count,
    },
  }),
)
