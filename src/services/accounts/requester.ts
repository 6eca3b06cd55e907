import type { DeviceId, UserId } from '../../protocol/ids.js'

/** Who makes a request, as its access token says. */
export interface Requester {
  readonly userId: UserId
  /** Absent for tokens without a device, as the administration API makes them. */
  readonly deviceId: DeviceId | undefined
  readonly isGuest: boolean
  readonly isAdmin: boolean
  readonly isShadowBanned: boolean
  readonly isSuspended: boolean
  readonly isLocked: boolean
  /** The row of the access token: rate limits and transaction IDs without a device use it. */
  readonly tokenId: number | undefined
  /** Tells a token from others where it has neither a device nor a row. */
  readonly tokenHash?: string
  /** The application service that acts as the user, if one does. */
  readonly appserviceId: string | undefined
}

/** The server acting for one of its users: not limited by what clients of theirs may do. */
export function actingFor({ userId, isGuest }: Pick<Requester, 'userId' | 'isGuest'>): Requester {
  return {
    userId,
    deviceId: undefined,
    isGuest,
    isAdmin: true,
    isShadowBanned: false,
    isSuspended: false,
    isLocked: false,
    tokenId: undefined,
    appserviceId: undefined,
  }
}

/** From where a request comes. */
export interface ClientInfo {
  readonly ip: string
  readonly userAgent: string | undefined
  /** As whom an application service wants to act: `user_id` of the query. Means nothing for other tokens. */
  readonly asUserId?: string | undefined
  /** With which device: `device_id` of the query. */
  readonly asDeviceId?: string | undefined
}

/** Knows who holds an access token. */
export interface Authenticator {
  /** Throws `M_UNKNOWN_TOKEN`, with `soft_logout: true` when the token has only expired. Locked users are returned. */
  authenticate(token: string, client: ClientInfo): Promise<Requester>
}
