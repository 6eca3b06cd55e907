import { MatrixError, badJson, invalidParam, missingParam, notFound } from '../../protocol/errors.js'
import { fitsBytes, parseRoomId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type {
  BackedUpSession,
  KeyBackupVersion,
  KeyBackupsStore,
  SessionSelection,
} from '../../storage/stores/key-backups.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'

export type { BackedUpSession, SessionSelection }

export interface KeyBackupDependencies {
  readonly db: Database
  readonly keyBackups: KeyBackupsStore
}

/** How a backup stands after a change, as answers say it. */
export interface KeyBackupState extends JsonObject {
  etag: string
  count: number
}

/** A session that is to be stored, as the request brings it. */
export interface SessionUpload {
  readonly roomId: string
  readonly sessionId: string
  readonly json: JsonValue
}

const MAX_NAME_BYTES = 255
const MAX_VERSION = 2 ** 53

/** Backups of room keys, encrypted by clients. https://spec.matrix.org/latest/client-server-api/#server-side-key-backups */
export class KeyBackup {
  readonly #deps: KeyBackupDependencies
  /** By user: all writes to a backup count what it holds, and would turn each other away. */
  readonly #locks = new KeyedMutex()

  constructor(deps: KeyBackupDependencies) {
    this.#deps = deps
  }

  /** Begins a backup, which is the current one from now on, and gives its version. */
  async createVersion(userId: UserId, backup: { algorithm: string; authData: JsonObject }): Promise<string> {
    const { algorithm, authData } = backup
    if (!fitsBytes(algorithm, MAX_NAME_BYTES)) throw invalidParam('The name of the algorithm is too long')
    const version = await this.#write('create_key_backup', userId, (tx) =>
      this.#deps.keyBackups.insertVersion(tx, userId, algorithm, authData),
    )
    return String(version)
  }

  /** A backup, the current one without `version`. Throws `M_NOT_FOUND`. */
  async getVersion(userId: UserId, version?: string): Promise<KeyBackupVersion> {
    const { db, keyBackups } = this.#deps
    if (version !== undefined) return this.#require(db.reader, userId, version)
    const current = await keyBackups.getCurrent(db.reader, userId)
    if (current === undefined) throw notFound('No backup')
    return current
  }

  /** Throws `M_NOT_FOUND`, or `M_INVALID_PARAM` for another algorithm than the backup's. */
  async setAuthData(
    userId: UserId,
    version: string,
    { algorithm, authData }: { algorithm: string; authData: JsonObject },
  ): Promise<void> {
    await this.#write('update_key_backup', userId, async (tx) => {
      const backup = await this.#require(tx, userId, version)
      if (backup.algorithm !== algorithm) throw invalidParam('The backup has another algorithm')
      await this.#deps.keyBackups.setAuthData(tx, userId, backup.version, authData)
    })
  }

  /** Deletes a backup with its sessions; again if need be. Throws `M_NOT_FOUND` for one that never was. */
  async deleteVersion(userId: UserId, version: string): Promise<void> {
    const { keyBackups } = this.#deps
    await this.#write('delete_key_backup', userId, async (tx) => {
      const number = parseVersion(version)
      const backup = number === undefined ? undefined : await keyBackups.getVersion(tx, userId, number)
      if (backup === undefined) throw notFound('No such backup')
      if (!backup.isDeleted) await keyBackups.deleteVersion(tx, userId, backup.version)
    })
  }

  /**
   * Stores sessions in the current backup where they are better than those that it has. Throws `M_BAD_JSON`,
   * `M_MISSING_PARAM`, `M_INVALID_PARAM` for what is no session; `M_NOT_FOUND`; `M_WRONG_ROOM_KEYS_VERSION` for another
   * backup than the current one.
   */
  async putSessions(
    userId: UserId,
    version: string,
    uploads: readonly SessionUpload[],
  ): Promise<KeyBackupState> {
    const sessions = uploads.map(parseSession)
    return this.#write('store_backed_up_keys', userId, async (tx) => {
      const backup = await this.#requireCurrent(tx, userId, version)
      const { added, written } = await this.#deps.keyBackups.putSessions(tx, userId, backup.version, sessions)
      return this.#recount(tx, userId, backup, { added, changed: written })
    })
  }

  /** Sessions of a backup, in the order of rooms. Throws `M_NOT_FOUND` where there is no such backup. */
  async listSessions(
    userId: UserId,
    version: string,
    selection: SessionSelection = {},
  ): Promise<BackedUpSession[]> {
    const { db, keyBackups } = this.#deps
    return db.read('load_backed_up_keys', async (q) => {
      const backup = await this.#require(q, userId, version)
      return keyBackups.listSessions(q, userId, backup.version, selection)
    })
  }

  /** Deletes sessions of a backup. Throws `M_NOT_FOUND` where there is no such backup. */
  async deleteSessions(
    userId: UserId,
    version: string,
    selection: SessionSelection = {},
  ): Promise<KeyBackupState> {
    return this.#write('delete_backed_up_keys', userId, async (tx) => {
      const backup = await this.#require(tx, userId, version)
      const deleted = await this.#deps.keyBackups.deleteSessions(tx, userId, backup.version, selection)
      return this.#recount(tx, userId, backup, { added: -deleted, changed: deleted })
    })
  }

  #write<T>(name: string, userId: UserId, fn: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#locks.run(userId, () => this.#deps.db.write(name, fn))
  }

  async #recount(
    tx: Tx,
    userId: UserId,
    backup: KeyBackupVersion,
    { added, changed }: { added: number; changed: number },
  ): Promise<KeyBackupState> {
    const count = backup.count + added
    if (changed === 0) return { etag: String(backup.etag), count }
    const etag = backup.etag + 1
    await this.#deps.keyBackups.setCount(tx, userId, backup.version, { etag, count })
    return { etag: String(etag), count }
  }

  async #require(q: Query, userId: UserId, version: string): Promise<KeyBackupVersion> {
    const number = parseVersion(version)
    const backup =
      number === undefined ? undefined : await this.#deps.keyBackups.getVersion(q, userId, number)
    if (backup === undefined || backup.isDeleted) throw notFound('No such backup')
    return backup
  }

  async #requireCurrent(tx: Tx, userId: UserId, version: string): Promise<KeyBackupVersion> {
    const backup = await this.#require(tx, userId, version)
    const current = await this.#deps.keyBackups.getCurrent(tx, userId)
    if (current?.version === backup.version) return backup
    throw new MatrixError('M_WRONG_ROOM_KEYS_VERSION', 'This is not the current backup', {
      fields: { current_version: String(current?.version) },
    })
  }
}

/** Versions are opaque to clients; here they are numbers. */
function parseVersion(text: string): number | undefined {
  if (!/^[1-9]\d{0,15}$/.test(text)) return undefined
  const version = Number(text)
  return version < MAX_VERSION ? version : undefined
}

function parseSession({ roomId, sessionId, json }: SessionUpload): BackedUpSession {
  if (parseRoomId(roomId) === undefined) throw invalidParam('Not a room ID')
  if (sessionId === '' || !fitsBytes(sessionId, MAX_NAME_BYTES)) throw invalidParam('Not a session ID')
  if (!isJsonObject(json)) throw badJson('A session is an object')
  return {
    roomId: roomId as RoomId,
    sessionId,
    firstMessageIndex: requireCount(json, 'first_message_index'),
    forwardedCount: requireCount(json, 'forwarded_count'),
    isVerified: requireMember(json, 'is_verified', (value) => typeof value === 'boolean'),
    sessionData: requireMember(json, 'session_data', isJsonObject),
  }
}

function requireCount(json: JsonObject, name: string): number {
  const count = requireMember(json, name, (value) => typeof value === 'number')
  if (!Number.isSafeInteger(count) || count < 0) throw invalidParam(`${name} must be a whole number`)
  return count
}

function requireMember<T extends JsonValue>(
  json: JsonObject,
  name: string,
  isRight: (value: JsonValue) => value is T,
): T {
  const value = json[name]
  if (value === undefined) throw missingParam(name)
  if (!isRight(value)) throw badJson(`${name} has the wrong type`)
  return value
}
