import { isInterestedInUser, type AppserviceRegistration } from '../../protocol/appservice-registration.js'
import { forbidden, MatrixError, missingParam, missingToken, unknownToken } from '../../protocol/errors.js'
import { localpartOf, parseUserId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { AppservicesStore } from '../../storage/stores/appservices.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Clock } from '../../util/clock.js'
import type { DeviceWish, Login, LoginResult } from '../accounts/login.js'
import { userIdsForLogin } from '../accounts/usernames.js'
import type { AppserviceRegistry } from '../appservices/appservice-registry.js'
import type { AccountRegistration, Registered } from './account-registration.js'

export interface AppserviceAccountsDependencies {
  readonly db: Database
  readonly clock: Pick<Clock, 'now'>
  readonly registry: AppserviceRegistry
  readonly appservices: Pick<AppservicesStore, 'markSenderRegistered'>
  readonly users: UsersStore
  readonly profiles: ProfilesStore
  readonly registration: Pick<AccountRegistration, 'registerDirectly'>
  readonly login: Pick<Login, 'beginSession'>
  readonly serverName: ServerName
}

export interface AppserviceRegistrationRequest {
  /** The localpart. */
  readonly username: string | undefined
  readonly inhibitLogin: boolean
  readonly device: DeviceWish
}

/**
 * Accounts of application services, which need no password.
 * https://spec.matrix.org/latest/application-service-api/#server-admin-style-permissions
 */
export class AppserviceAccounts {
  readonly #deps: AppserviceAccountsDependencies

  constructor(deps: AppserviceAccountsDependencies) {
    this.#deps = deps
  }

  /** Makes the accounts of the services' own users, who may act without having been registered. */
  async ensureSenders(): Promise<void> {
    const { db, clock, registry, users, profiles } = this.#deps
    for (const { id, senderId } of registry.list()) {
      if (await users.exists(db.reader, senderId)) continue
      await db.write('create_appservice_sender', async (tx) => {
        const user = { userId: senderId, passwordHash: undefined, createdTs: clock.now(), appserviceId: id }
        if (!(await users.insert(tx, user))) return
        const displayName = localpartOf(senderId)
        await profiles.put(tx, senderId, { displayName, avatarUrl: undefined, fields: {} })
      })
    }
  }

  /**
   * Registers a user of a service's namespace. Throws `M_MISSING_TOKEN`, `M_UNKNOWN_TOKEN`, `M_MISSING_PARAM`,
   * `M_INVALID_USERNAME`, `M_EXCLUSIVE` for users of others, `M_USER_IN_USE`.
   */
  async register(token: string | undefined, request: AppserviceRegistrationRequest): Promise<Registered> {
    const service = this.#requireService(token)
    if (request.username === undefined) throw missingParam('username')
    const userId = parseUserId(`@${request.username}:${this.#deps.serverName}`)
    if (userId === undefined || request.username.includes(':')) {
      throw new MatrixError('M_INVALID_USERNAME', 'This cannot be a user name')
    }
    this.#checkNamespace(service, userId)
    if (userId === service.senderId) {
      const sender = await this.#registerSender(service, request)
      if (sender !== undefined) return sender
    }
    return this.#deps.registration.registerDirectly({
      userId,
      username: undefined,
      password: undefined,
      appserviceId: service.id,
      inhibitLogin: request.inhibitLogin,
      device: request.device,
    })
  }

  /**
   * Begins a session of a service's user. Throws `M_MISSING_TOKEN`, `M_UNKNOWN_TOKEN`, `M_EXCLUSIVE` for users of
   * others, `M_FORBIDDEN` for those who have no account.
   */
  async logIn(token: string | undefined, user: string, device: DeviceWish): Promise<LoginResult> {
    const service = this.#requireService(token)
    const { db, users, serverName, login } = this.#deps
    const candidates = userIdsForLogin(user, serverName)
    const own = candidates.filter((userId) => isInterestedInUser(service, userId))
    if (own.length === 0) throw notYours()
    for (const userId of own) {
      if (await users.exists(db.reader, userId)) return login.beginSession(userId, device)
    }
    throw forbidden('The application service has not registered this user')
  }

  #requireService(token: string | undefined): AppserviceRegistration {
    if (token === undefined) throw missingToken()
    const service = this.#deps.registry.findByToken(token)
    if (service === undefined) throw unknownToken()
    return service
  }

  #checkNamespace(service: AppserviceRegistration, userId: UserId): void {
    const isTaken = this.#deps.registry.isTaken('users', userId, service.id)
    if (isTaken || !isInterestedInUser(service, userId)) throw notYours()
  }

  /** Its account is there from the start: the first time counts as making it. */
  async #registerSender(
    service: AppserviceRegistration,
    request: AppserviceRegistrationRequest,
  ): Promise<Registered | undefined> {
    const { db, appservices, users, login } = this.#deps
    const userId = service.senderId
    const user = await users.get(db.reader, userId)
    if (user?.appserviceId !== service.id) return undefined
    const isFirst = await db.write('register_appservice_sender', (tx) =>
      appservices.markSenderRegistered(tx, service.id),
    )
    if (!isFirst) return undefined
    if (request.inhibitLogin) return { userId, session: undefined }
    const session = await login.beginSession(userId, request.device)
    return { userId, session }
  }
}

function notYours(): MatrixError {
  return new MatrixError('M_EXCLUSIVE', 'The user is not in a namespace of the application service')
}
