import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { Query, Tx } from '../database.js'

/** Somebody who has signed on and is asked for what an account needs. */
export interface NewcomerRecord {
  /** Of what the browser keeps. */
  readonly sessionHash: string
  /** The service's ID. */
  readonly provider: string
  readonly providerSession: string | undefined
  /** What the service says of them. */
  readonly identity: Readonly<JsonObject>
  /** What they have chosen. */
  readonly choices: Readonly<JsonObject>
  readonly redirectUrl: string
  readonly expiryTs: number
}

interface Row {
  session_hash: string
  provider: string
  provider_session: string | null
  identity: string
  choices: string
  redirect_url: string
  expiry_ts: number
}

/** People who have signed on and have no account yet. */
export class SignOnNewcomersStore {
  async get(q: Query, sessionHash: string): Promise<NewcomerRecord | undefined> {
    const row = await q.first<Row>('SELECT * FROM sign_on_newcomers WHERE session_hash = ?', [sessionHash])
    return row && toRecord(row)
  }

  async insert(tx: Tx, newcomer: NewcomerRecord): Promise<void> {
    await tx.execute(
      `INSERT INTO sign_on_newcomers
         (session_hash, provider, provider_session, identity, choices, redirect_url, expiry_ts)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      [
        newcomer.sessionHash,
        newcomer.provider,
        newcomer.providerSession ?? null,
        JSON.stringify(newcomer.identity),
        JSON.stringify(newcomer.choices),
        newcomer.redirectUrl,
        newcomer.expiryTs,
      ],
    )
  }

  async setChoices(tx: Tx, sessionHash: string, choices: Readonly<JsonObject>): Promise<void> {
    await tx.execute('UPDATE sign_on_newcomers SET choices = ? WHERE session_hash = ?', [
      JSON.stringify(choices),
      sessionHash,
    ])
  }

  /** True for the one caller that ends the session. */
  async delete(tx: Tx, sessionHash: string): Promise<boolean> {
    return (await tx.execute('DELETE FROM sign_on_newcomers WHERE session_hash = ?', [sessionHash])) === 1
  }

  /** Those who have signed on in this session of the service. Index sign_on_newcomers_session. */
  async deleteForProviderSession(tx: Tx, provider: string, providerSession: string): Promise<void> {
    await tx.execute('DELETE FROM sign_on_newcomers WHERE provider = ? AND provider_session = ?', [
      provider,
      providerSession,
    ])
  }

  /** Index sign_on_newcomers_expiry. */
  async deleteExpired(tx: Tx, now: number): Promise<number> {
    return tx.execute('DELETE FROM sign_on_newcomers WHERE expiry_ts <= ?', [now])
  }
}

function toRecord(row: Row): NewcomerRecord {
  return {
    sessionHash: row.session_hash,
    provider: row.provider,
    providerSession: row.provider_session ?? undefined,
    identity: parseObject(row.identity),
    choices: parseObject(row.choices),
    redirectUrl: row.redirect_url,
    expiryTs: row.expiry_ts,
  }
}

function parseObject(json: string): Readonly<JsonObject> {
  const value: unknown = JSON.parse(json)
  return isJsonObject(value) ? value : {}
}
