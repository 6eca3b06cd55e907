import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { Query, Tx } from '../database.js'

/** A browser that has been sent to a service to sign on there. */
export interface SignOnAttemptRecord {
  /** Of what the service hands back. */
  readonly stateHash: string
  /** The service's ID. */
  readonly provider: string
  /** Of what the browser keeps. */
  readonly browserHash: string
  readonly purpose: Readonly<JsonObject>
  readonly memory: Readonly<JsonObject>
  /** From where it was begun. */
  readonly address: string
  readonly expiryTs: number
}

interface Row {
  state_hash: string
  provider: string
  browser_hash: string
  purpose: string
  memory: string
  address: string
  expiry_ts: number
}

/** Attempts to sign on that wait for an answer. */
export class SignOnAttemptsStore {
  async insert(tx: Tx, attempt: SignOnAttemptRecord): Promise<void> {
    await tx.execute(
      `INSERT INTO sign_on_attempts (state_hash, provider, browser_hash, purpose, memory, address, expiry_ts)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      [
        attempt.stateHash,
        attempt.provider,
        attempt.browserHash,
        JSON.stringify(attempt.purpose),
        JSON.stringify(attempt.memory),
        attempt.address,
        attempt.expiryTs,
      ],
    )
  }

  /** Takes the attempt of a browser away: of any number of callers one gets it, and of other browsers none. */
  async consume(
    tx: Tx,
    { stateHash, browserHash }: Pick<SignOnAttemptRecord, 'stateHash' | 'browserHash'>,
  ): Promise<SignOnAttemptRecord | undefined> {
    const row = await tx.first<Row>(
      'DELETE FROM sign_on_attempts WHERE state_hash = ? AND browser_hash = ? RETURNING *',
      [stateHash, browserHash],
    )
    return row && toRecord(row)
  }

  /** How many there are, of which some may have expired; counts no further than `most`. */
  async count(q: Query, most: number): Promise<number> {
    const row = await q.first<{ n: number }>(
      'SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM sign_on_attempts LIMIT ?) AS counted',
      [most],
    )
    return row?.n ?? 0
  }

  /** Keeps the newest `keep` that were begun from an address. Index sign_on_attempts_address. */
  async deleteOldest(tx: Tx, address: string, keep: number): Promise<void> {
    await tx.execute(
      `DELETE FROM sign_on_attempts WHERE address = ? AND state_hash NOT IN (
         SELECT state_hash FROM sign_on_attempts WHERE address = ? ORDER BY expiry_ts DESC, state_hash LIMIT ?)`,
      [address, address, keep],
    )
  }

  /** Index sign_on_attempts_expiry. */
  async deleteExpired(tx: Tx, now: number): Promise<number> {
    return tx.execute('DELETE FROM sign_on_attempts WHERE expiry_ts <= ?', [now])
  }
}

function toRecord(row: Row): SignOnAttemptRecord {
  return {
    stateHash: row.state_hash,
    provider: row.provider,
    browserHash: row.browser_hash,
    purpose: parseObject(row.purpose),
    memory: parseObject(row.memory),
    address: row.address,
    expiryTs: row.expiry_ts,
  }
}

function parseObject(json: string): Readonly<JsonObject> {
  const value: unknown = JSON.parse(json)
  return isJsonObject(value) ? value : {}
}
