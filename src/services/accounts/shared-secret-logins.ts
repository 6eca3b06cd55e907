import { createHmac, timingSafeEqual } from 'node:crypto'
import { localpartOf, type ServerName } from '../../protocol/ids.js'
import type { Credential, CredentialProvider, ProvenIdentity } from './credential-providers.js'
import { userIdsForLogin } from './usernames.js'

/** The type of login of https://github.com/devture/matrix-synapse-shared-secret-auth: no specification has it. */
export const SHARED_SECRET_LOGIN = 'com.devture.shared_secret_auth'

export interface SharedSecretOptions {
  readonly serverName: ServerName
  readonly secret: string
  /** As a password. */
  readonly takesPasswords: boolean
  /** As a token, by a type of login of its own. */
  readonly takesTokens: boolean
}

/** Whoever knows a secret logs in as anybody: bridges, and what administers the server from outside. */
export class SharedSecretLogins implements CredentialProvider {
  readonly name = 'shared secret'
  readonly isImmediate = true
  readonly types: readonly string[]
  readonly #options: SharedSecretOptions

  constructor(options: SharedSecretOptions) {
    this.#options = options
    this.types = [
      ...(options.takesPasswords ? ['m.login.password'] : []),
      ...(options.takesTokens ? [SHARED_SECRET_LOGIN] : []),
    ]
  }

  /** The secret is the HMAC-SHA512 of the user ID in hexadecimal digits. Makes no accounts. */
  identify({ user, secret }: Credential): Promise<ProvenIdentity | undefined> {
    const { serverName, secret: key } = this.#options
    const given = Buffer.from(secret)
    // Of the ID as it is written; then in lower case, as others find people too.
    const matched = userIdsForLogin(user ?? '', serverName).find((userId) => {
      const wanted = Buffer.from(createHmac('sha512', key).update(userId).digest('hex'))
      return given.length === wanted.length && timingSafeEqual(given, wanted)
    })
    return Promise.resolve(matched && { localpart: localpartOf(matched) })
  }
}
