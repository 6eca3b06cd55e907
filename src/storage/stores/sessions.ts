import type { Query, Tx } from '../database.js'
import type { UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

/** One operation that somebody is proving their right to, stage by stage. */
export interface UiAuthSessionRecord {
  readonly sessionId: string
  /** Undefined where the operation needs no account: until a registration has made one. */
  readonly userId: UserId | undefined
  readonly method: string
  /** The path of the endpoint, without the query. */
  readonly path: string
  /** Of the request without its `auth`; undefined where the body may change between the stages. */
  readonly bodyHash: string | undefined
  /** What each completed stage has established, by stage. */
  readonly completed: Readonly<JsonObject>
  /** What was said that need not be said again; undefined where every request has to say all. */
  readonly request: Readonly<JsonObject> | undefined
  readonly createdTs: number
}

interface Row {
  session_id: string
  user_id: string | null
  method: string
  path: string
  body_hash: string | null
  completed: string
  request: string | null
  created_ts: number
}

/** Sessions of user-interactive authentication. */
export class SessionsStore {
  async get(q: Query, sessionId: string): Promise<UiAuthSessionRecord | undefined> {
    const row = await q.first<Row>('SELECT * FROM ui_auth_sessions WHERE session_id = ?', [sessionId])
    return row && toRecord(row)
  }

  async insert(tx: Tx, session: UiAuthSessionRecord): Promise<void> {
    await tx.execute(
      `INSERT INTO ui_auth_sessions (session_id, user_id, method, path, body_hash, completed, request, created_ts)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        session.sessionId,
        session.userId ?? null,
        session.method,
        session.path,
        session.bodyHash ?? null,
        JSON.stringify(session.completed),
        session.request === undefined ? null : JSON.stringify(session.request),
        session.createdTs,
      ],
    )
  }

  async setCompleted(tx: Tx, sessionId: string, completed: Readonly<JsonObject>): Promise<void> {
    await tx.execute('UPDATE ui_auth_sessions SET completed = ? WHERE session_id = ?', [
      JSON.stringify(completed),
      sessionId,
    ])
  }

  /** What later requests of an open session need not say. */
  async setRequest(tx: Tx, sessionId: string, request: Readonly<JsonObject>): Promise<void> {
    const json = JSON.stringify(request)
    await tx.execute(
      `UPDATE ui_auth_sessions SET request = ?
       WHERE session_id = ? AND user_id IS NULL AND (request IS NULL OR request <> ?)`,
      [json, sessionId, json],
    )
  }

  /**
   * Turns an open session into the record of the account that was made in it: nothing is completed in it any more, and
   * it lives on from `ts`. True for the one caller that does so.
   */
  async endRegistration(
    tx: Tx,
    sessionId: string,
    { userId, request, ts }: { userId: UserId; request: Readonly<JsonObject>; ts: number },
  ): Promise<boolean> {
    const ended = await tx.execute(
      `UPDATE ui_auth_sessions SET user_id = ?, request = ?, completed = '{}', created_ts = ?
       WHERE session_id = ? AND user_id IS NULL`,
      [userId, JSON.stringify(request), ts, sessionId],
    )
    return ended === 1
  }

  /** True for the one caller that ends the session. */
  async delete(tx: Tx, sessionId: string): Promise<boolean> {
    return (await tx.execute('DELETE FROM ui_auth_sessions WHERE session_id = ?', [sessionId])) === 1
  }

  /** Keeps the newest `keep` sessions of a user. Index ui_auth_sessions_user. */
  async deleteOldest(tx: Tx, userId: UserId, keep: number): Promise<void> {
    await tx.execute(
      `DELETE FROM ui_auth_sessions WHERE user_id = ? AND session_id NOT IN (
         SELECT session_id FROM ui_auth_sessions WHERE user_id = ? ORDER BY created_ts DESC, session_id LIMIT ?)`,
      [userId, userId, keep],
    )
  }

  async deleteForUser(tx: Tx, userId: UserId): Promise<void> {
    await tx.execute('DELETE FROM ui_auth_sessions WHERE user_id = ?', [userId])
  }

  /** Deletes sessions begun before `ts` and returns what they had completed. Index ui_auth_sessions_created. */
  async deleteBefore(tx: Tx, ts: number): Promise<Readonly<JsonObject>[]> {
    const rows = await tx.all<{ completed: string }>(
      'DELETE FROM ui_auth_sessions WHERE created_ts < ? RETURNING completed',
      [ts],
    )
    return rows.map((row) => parseObject(row.completed))
  }
}

function toRecord(row: Row): UiAuthSessionRecord {
  return {
    sessionId: row.session_id,
    userId: (row.user_id ?? undefined) as UserId | undefined,
    method: row.method,
    path: row.path,
    bodyHash: row.body_hash ?? undefined,
    completed: parseObject(row.completed),
    request: row.request === null ? undefined : parseObject(row.request),
    createdTs: row.created_ts,
  }
}

function parseObject(json: string): Readonly<JsonObject> {
  const value: unknown = JSON.parse(json)
  return isJsonObject(value) ? value : {}
}
