import type { Query, Tx } from '../database.js'

/** What a proof is wanted for; it is good for nothing else. */
export type ValidationPurpose = 'add' | 'register' | 'reset'

/** An address that somebody says is theirs, and has been sent a token. */
export interface ThreepidValidation {
  readonly sessionId: string
  readonly purpose: ValidationPurpose
  readonly medium: string
  /** In canonical form. */
  readonly address: string
  readonly clientSecret: string
  /** What the message to the address says. */
  readonly token: string
  readonly sendAttempt: number
  /** Where the client wants people to go afterwards. */
  readonly nextLink: string | undefined
  /** When the last message was sent. */
  readonly createdTs: number
  /** When the token was said back; undefined: not yet. */
  readonly validatedTs: number | undefined
}

interface Row {
  session_id: string
  purpose: string
  medium: string
  address: string
  client_secret: string
  token: string
  send_attempt: number
  next_link: string | null
  created_ts: number
  validated_ts: number | null
}

/** Sessions in which people prove that addresses are theirs. */
export class ThreepidValidationsStore {
  /** By primary key. */
  async get(q: Query, sessionId: string): Promise<ThreepidValidation | undefined> {
    const row = await q.first<Row>('SELECT * FROM threepid_validations WHERE session_id = ?', [sessionId])
    return row && toValidation(row)
  }

  /** The session of a client that asks again. Index threepid_validations_secret. */
  async find(
    q: Query,
    wanted: Pick<ThreepidValidation, 'purpose' | 'medium' | 'address' | 'clientSecret'>,
  ): Promise<ThreepidValidation | undefined> {
    const row = await q.first<Row>(
      'SELECT * FROM threepid_validations WHERE purpose = ? AND medium = ? AND address = ? AND client_secret = ?',
      [wanted.purpose, wanted.medium, wanted.address, wanted.clientSecret],
    )
    return row && toValidation(row)
  }

  /** Begins a session, or renews its token; what has been proven stays so. */
  async put(tx: Tx, validation: Omit<ThreepidValidation, 'validatedTs'>): Promise<void> {
    await tx.execute(
      `INSERT INTO threepid_validations (session_id, purpose, medium, address, client_secret, token, send_attempt,
         next_link, created_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (session_id) DO UPDATE SET token = excluded.token, send_attempt = excluded.send_attempt,
         next_link = excluded.next_link, created_ts = excluded.created_ts`,
      [
        validation.sessionId,
        validation.purpose,
        validation.medium,
        validation.address,
        validation.clientSecret,
        validation.token,
        validation.sendAttempt,
        validation.nextLink ?? null,
        validation.createdTs,
      ],
    )
  }

  /** The message has not gone out: the next attempt may have the same number. */
  async forgetAttempt(tx: Tx, sessionId: string): Promise<void> {
    await tx.execute('UPDATE threepid_validations SET send_attempt = -1 WHERE session_id = ?', [sessionId])
  }

  async setValidated(tx: Tx, sessionId: string, ts: number): Promise<void> {
    await tx.execute(
      'UPDATE threepid_validations SET validated_ts = ? WHERE session_id = ? AND validated_ts IS NULL',
      [ts, sessionId],
    )
  }

  async delete(tx: Tx, sessionId: string): Promise<void> {
    await tx.execute('DELETE FROM threepid_validations WHERE session_id = ?', [sessionId])
  }

  /** Index threepid_validations_created. */
  async deleteBefore(tx: Tx, ts: number): Promise<void> {
    await tx.execute('DELETE FROM threepid_validations WHERE created_ts < ?', [ts])
  }
}

function toValidation(row: Row): ThreepidValidation {
  return {
    sessionId: row.session_id,
    purpose: row.purpose as ValidationPurpose,
    medium: row.medium,
    address: row.address,
    clientSecret: row.client_secret,
    token: row.token,
    sendAttempt: row.send_attempt,
    nextLink: row.next_link ?? undefined,
    createdTs: row.created_ts,
    validatedTs: row.validated_ts ?? undefined,
  }
}
