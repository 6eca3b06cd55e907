import { isInterestedInUser, type AppserviceRegistration } from '../../protocol/appservice-registration.js'
import { forbidden, invalidParam, MatrixError } from '../../protocol/errors.js'
import { parseUserId, type DeviceId, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { AppserviceRegistry } from '../appservices/appservice-registry.js'
import type { SightingSink } from './access-tokens.js'
import type { Authenticator, ClientInfo, Requester } from './requester.js'

export interface AppserviceAuthenticatorDependencies {
  readonly db: Database
  readonly registry: Pick<AppserviceRegistry, 'findByToken'>
  readonly users: Pick<UsersStore, 'get'>
  readonly devices: Pick<DevicesStore, 'get'>
  /** For all other tokens. */
  readonly people: Authenticator
  /** Undefined: the addresses of application services are not kept (`track_appservice_user_ips`). */
  readonly sightings: SightingSink | undefined
}

/**
 * Knows application services by their tokens, and as whom they act.
 * https://spec.matrix.org/latest/application-service-api/#identity-assertion
 */
export class AppserviceAuthenticator implements Authenticator {
  readonly #deps: AppserviceAuthenticatorDependencies

  constructor(deps: AppserviceAuthenticatorDependencies) {
    this.#deps = deps
  }

  /**
   * As of people for tokens of people. Throws `M_FORBIDDEN` for users that are not the service's or have no account,
   * `M_UNKNOWN_DEVICE` for devices that the user does not have.
   */
  async authenticate(token: string, client: ClientInfo): Promise<Requester> {
    const registration = this.#deps.registry.findByToken(token)
    if (registration === undefined) return this.#deps.people.authenticate(token, client)
    const userId = assertedUser(registration, client.asUserId)
    const user = await this.#deps.users.get(this.#deps.db.reader, userId)
    if (user === undefined) throw forbidden('The application service has not registered this user')
    if (user.isDeactivated) throw new MatrixError('M_USER_DEACTIVATED', 'This account has been deactivated')
    const requester: Requester = {
      userId,
      deviceId: await this.#assertedDevice(userId, client.asDeviceId),
      isGuest: false,
      isAdmin: user.isAdmin,
      isShadowBanned: user.isShadowBanned,
      isSuspended: user.isSuspended,
      isLocked: user.isLocked,
      tokenId: undefined,
      appserviceId: registration.id,
    }
    this.#deps.sightings?.record(requester, client)
    return requester
  }

  async #assertedDevice(userId: UserId, deviceId: string | undefined): Promise<DeviceId | undefined> {
    if (deviceId === undefined || deviceId === '') return undefined
    const device = await this.#deps.devices.get(this.#deps.db.reader, userId, deviceId)
    if (device === undefined) throw new MatrixError('M_UNKNOWN_DEVICE', 'The user has no such device')
    return device.deviceId
  }
}

function assertedUser(registration: AppserviceRegistration, asserted: string | undefined): UserId {
  if (asserted === undefined) return registration.senderId
  const userId = parseUserId(asserted)
  if (userId === undefined) throw invalidParam('user_id is no user ID')
  if (!isInterestedInUser(registration, userId)) {
    throw forbidden('The application service may not act as this user')
  }
  return userId
}
