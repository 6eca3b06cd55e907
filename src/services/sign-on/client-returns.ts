import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { LoginTokenOrigin } from '../../storage/stores/login-tokens.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { UsersStore } from '../../storage/stores/users.js'
import type { Login } from '../accounts/login.js'
import { displayUrl, isTrustedClient, withLoginToken } from './client-redirects.js'
import { sendTo, type SignOnAnswer } from './sign-on-answer.js'
import { SignOnFailure } from './sign-on-failure.js'
import type { SignOnPages } from './sign-on-pages.js'

export interface ClientReturnsDependencies {
  readonly db: Database
  readonly users: Pick<UsersStore, 'get'>
  readonly profiles: Pick<ProfilesStore, 'get'>
  readonly login: Pick<Login, 'createLoginToken'>
  readonly pages: SignOnPages
  /** `sso.client_whitelist`, and the page of this server that logs in. */
  readonly trustedClients: readonly string[]
}

/** Whom to send back to which client. */
export interface ClientReturn {
  readonly userId: UserId
  readonly redirectUrl: string
  readonly origin: LoginTokenOrigin
  /** The account has just been made. */
  readonly isNew: boolean
}

/** How long a client may take to log in with its token. */
const TOKEN_LIFETIME_MS = 2 * 60_000

/** Sends people who have signed on back to their client, with a token that logs in. */
export class ClientReturns {
  readonly #deps: ClientReturnsDependencies

  constructor(deps: ClientReturnsDependencies) {
    this.#deps = deps
  }

  /** Straight on to clients that are trusted; of others people are asked first. Throws for accounts that cannot log in. */
  async send({ userId, redirectUrl, origin, isNew }: ClientReturn): Promise<SignOnAnswer> {
    const { db, users, profiles, login, pages, trustedClients } = this.#deps
    const user = await users.get(db.reader, userId)
    if (user === undefined || user.isDeactivated) return pages.deactivated()
    if (user.isLocked) throw new SignOnFailure('user_locked', 'This account has been locked', 403)
    if (user.isGuest || user.appserviceId !== undefined) {
      throw new SignOnFailure('mapping_error', 'This account is not one that people sign on to', 403)
    }
    const { token } = await login.createLoginToken(userId, { lifetimeMs: TOKEN_LIFETIME_MS, origin })
    const location = withLoginToken(redirectUrl, token)
    if (isTrustedClient(redirectUrl, trustedClients)) return sendTo(location)
    const profile = await profiles.get(db.reader, userId)
    return pages.confirmClient({
      redirectUrl: location,
      displayUrl: displayUrl(redirectUrl),
      userId,
      profile: { displayName: profile?.displayName, avatarUrl: profile?.avatarUrl },
      isNew,
    })
  }
}
