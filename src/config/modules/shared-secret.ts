import { flag, value, withDefault } from '../values.js'
import { moduleKind } from './module-kind.js'

const MIN_SECRET_LENGTH = 16

/** Whoever knows the secret logs in as anybody. https://github.com/devture/matrix-synapse-shared-secret-auth */
export const sharedSecretLogin = moduleKind({
  classes: ['shared_secret_authenticator.SharedSecretAuthProvider'],
  keys: {
    shared_secret: value('a text that is not empty', (raw) =>
      typeof raw === 'string' && raw !== '' ? raw : undefined,
    ),
    m_login_password_support_enabled: withDefault(flag, false),
    com_devture_shared_secret_auth_support_enabled: withDefault(flag, true),
  },
  build(raw, { fail, warn }) {
    const takesPasswords = raw.m_login_password_support_enabled
    const takesTokens = raw.com_devture_shared_secret_auth_support_enabled
    if (!takesPasswords && !takesTokens) {
      fail(['com_devture_shared_secret_auth_support_enabled'], 'at least one type of login has to be enabled')
    }
    if (raw.shared_secret.length < MIN_SECRET_LENGTH) {
      warn(['shared_secret'], 'a secret this short can be guessed, and lets in as anybody')
    }
    return {
      kind: 'sharedSecret' as const,
      secret: raw.shared_secret,
      /** As a password. */
      takesPasswords,
      /** As a token, by a type of login of its own. */
      takesTokens,
    }
  },
})
