import type { Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** Where somebody has signed on who is to log in. */
export interface LoginTokenOrigin {
  /** The service's ID. */
  readonly provider: string
  readonly providerSession?: string | undefined
  /** What the client is told besides. */
  readonly extra?: Readonly<JsonObject> | undefined
}

export interface LoginTokenRecord {
  readonly userId: UserId
  readonly expiryTs: number
  /** Undefined for tokens that a session of the user's has made. */
  readonly origin?: LoginTokenOrigin | undefined
}

interface Row {
  user_id: UserId
  expiry_ts: number
  provider: string | null
  provider_session: string | null
  extra: string | null
}

/** Tokens that log in once, by the hash of the token. */
export class LoginTokensStore {
  async insert(tx: Tx, token: LoginTokenRecord & { tokenHash: string }): Promise<void> {
    const { origin } = token
    await tx.execute(
      `INSERT INTO login_tokens (token_hash, user_id, expiry_ts, provider, provider_session, extra)
       VALUES (?, ?, ?, ?, ?, ?)`,
      [
        token.tokenHash,
        token.userId,
        token.expiryTs,
        origin?.provider ?? null,
        origin?.providerSession ?? null,
        origin?.extra === undefined ? null : JSON.stringify(origin.extra),
      ],
    )
  }

  /** Takes the token away: of any number of callers one gets it. */
  async consume(tx: Tx, tokenHash: string): Promise<LoginTokenRecord | undefined> {
    const row = await tx.first<Row>(
      `DELETE FROM login_tokens WHERE token_hash = ?
       RETURNING user_id, expiry_ts, provider, provider_session, extra`,
      [tokenHash],
    )
    return row && { userId: row.user_id, expiryTs: row.expiry_ts, origin: originOf(row) }
  }

  /** Takes away the tokens of a session of the service at which their users have signed on. Index login_tokens_session. */
  async deleteForProviderSession(tx: Tx, provider: string, providerSession: string): Promise<void> {
    await tx.execute('DELETE FROM login_tokens WHERE provider = ? AND provider_session = ?', [
      provider,
      providerSession,
    ])
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM login_tokens WHERE user_id = ?', [userId])
  }

  async deleteExpired(tx: Tx, now: number): Promise<number> {
    return tx.execute('DELETE FROM login_tokens WHERE expiry_ts < ?', [now])
  }
}

function originOf({ provider, provider_session: session, extra }: Row): LoginTokenOrigin | undefined {
  if (provider === null) return undefined
  const parsed: unknown = extra === null ? undefined : JSON.parse(extra)
  return {
    provider,
    providerSession: session ?? undefined,
    extra: isJsonObject(parsed) ? parsed : undefined,
  }
}
