import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { IssuedTokens } from '../../services/accounts/token-issuer.js'
import type { JsonObject } from '../../util/json.js'

/** A session as `/login` and `/register` answer it; without one, an account alone. */
export function sessionJson(
  userId: UserId,
  session: (IssuedTokens & { readonly deviceId: DeviceId }) | undefined,
): JsonObject {
  const account = { user_id: userId, home_server: userId.slice(userId.indexOf(':') + 1) }
  if (session === undefined) return account
  return { ...account, device_id: session.deviceId, ...tokensJson(session) }
}

/** Fields that do not apply are absent. */
export function tokensJson(tokens: IssuedTokens): JsonObject {
  return {
    access_token: tokens.accessToken,
    ...(tokens.refreshToken === undefined ? {} : { refresh_token: tokens.refreshToken }),
    ...(tokens.expiresInMs === undefined ? {} : { expires_in_ms: tokens.expiresInMs }),
  }
}
