import type { Query, Tx } from '../database.js'

/** A token that lets people register. */
export interface RegistrationTokenRecord {
  readonly token: string
  /** Undefined: any number of times. */
  readonly usesAllowed: number | undefined
  /** Registrations that have presented the token and are not complete. */
  readonly pending: number
  readonly completed: number
  readonly expiryTs: number | undefined
}

interface Row {
  token: string
  uses_allowed: number | null
  pending: number
  completed: number
  expiry_ts: number | null
}

/** Registration tokens and how often they were used. */
export class RegistrationTokensStore {
  async get(q: Query, token: string): Promise<RegistrationTokenRecord | undefined> {
    const row = await q.first<Row>('SELECT * FROM registration_tokens WHERE token = ?', [token])
    return row && toRecord(row)
  }

  /** False when the token exists. */
  async insert(
    tx: Tx,
    token: { token: string; usesAllowed: number | undefined; expiryTs: number | undefined },
  ): Promise<boolean> {
    const changed = await tx.execute(
      'INSERT INTO registration_tokens (token, uses_allowed, expiry_ts) VALUES (?, ?, ?) ON CONFLICT (token) DO NOTHING',
      [token.token, token.usesAllowed ?? null, token.expiryTs ?? null],
    )
    return changed === 1
  }

  /** All tokens, in their order. */
  async list(q: Query): Promise<RegistrationTokenRecord[]> {
    return (await q.all<Row>('SELECT * FROM registration_tokens ORDER BY token')).map(toRecord)
  }

  /** Changes what is given; false when there is no such token. Null: no limit. */
  async update(
    tx: Tx,
    token: string,
    change: {
      readonly usesAllowed?: number | null | undefined
      readonly expiryTs?: number | null | undefined
    },
  ): Promise<boolean> {
    const { usesAllowed, expiryTs } = change
    const changed = await tx.execute(
      `UPDATE registration_tokens SET
         uses_allowed = CASE WHEN ? = 1 THEN ? ELSE uses_allowed END,
         expiry_ts = CASE WHEN ? = 1 THEN ? ELSE expiry_ts END
       WHERE token = ?`,
      [
        Number(usesAllowed !== undefined),
        usesAllowed ?? null,
        Number(expiryTs !== undefined),
        expiryTs ?? null,
        token,
      ],
    )
    return changed === 1
  }

  /** False when there is no such token. */
  async delete(tx: Tx, token: string): Promise<boolean> {
    return (await tx.execute('DELETE FROM registration_tokens WHERE token = ?', [token])) === 1
  }

  /** Reserves one use; false when the token is unknown, expired or used up. */
  async reserve(tx: Tx, token: string, now: number): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE registration_tokens SET pending = pending + 1
       WHERE token = ? AND (expiry_ts IS NULL OR expiry_ts > ?)
         AND (uses_allowed IS NULL OR pending + completed < uses_allowed)`,
      [token, now],
    )
    return changed === 1
  }

  /** A reserved use has become an account. */
  async complete(tx: Tx, token: string): Promise<void> {
    await tx.execute(
      `UPDATE registration_tokens SET completed = completed + 1,
         pending = CASE WHEN pending > 0 THEN pending - 1 ELSE 0 END WHERE token = ?`,
      [token],
    )
  }

  /** Reserved uses that came to nothing: how many of each token. One statement. */
  async release(tx: Tx, counts: ReadonlyMap<string, number>): Promise<void> {
    if (counts.size === 0) return
    await tx.execute(
      `UPDATE registration_tokens SET pending = CASE WHEN pending > r.n THEN pending - r.n ELSE 0 END
       FROM ${tx.dialect.rowsFrom({ token: 'text', n: 'integer' })} AS r WHERE registration_tokens.token = r.token`,
      [tx.dialect.rows([...counts].map(([token, n]) => ({ token, n })))],
    )
  }
}

function toRecord(row: Row): RegistrationTokenRecord {
  return {
    token: row.token,
    usesAllowed: row.uses_allowed ?? undefined,
    pending: row.pending,
    completed: row.completed,
    expiryTs: row.expiry_ts ?? undefined,
  }
}
