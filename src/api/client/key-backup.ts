import { z } from 'zod'
import { route } from '../../http/route.js'
import { badJson, invalidParam, notFound } from '../../protocol/errors.js'
import type { BackedUpSession, SessionUpload } from '../../services/devices/key-backup.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { groupBy } from '../../util/group-by.js'
import { jsonObject } from './json-object.js'

/** Ten thousand sessions, each of about a kilobyte, with room to spare. */
const MAX_BODY_BYTES = 16 * 1024 * 1024
const STABLE = '/_matrix/client/v3/room_keys'
const UNSTABLE = '/_matrix/client/unstable/room_keys'

const versionQuery = z.looseObject({ version: z.string() })
const versionBody = z.looseObject({
  algorithm: z.string(),
  auth_data: jsonObject,
  version: z.string().nullish(),
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3room_keysversion */
export const postRoomKeysVersion = route({
  operationId: 'postRoomKeysVersion',
  method: 'POST',
  path: `${STABLE}/version`,
  aliases: [`${UNSTABLE}/version`],
  auth: 'user',
  body: versionBody,
  async handler({ requester, body }, { keyBackup }) {
    const backup = { algorithm: body.algorithm, authData: body.auth_data }
    return { version: await keyBackup.createVersion(requester.userId, backup) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3room_keysversion */
export const getRoomKeysVersionCurrent = route({
  operationId: 'getRoomKeysVersionCurrent',
  method: 'GET',
  path: `${STABLE}/version`,
  aliases: [`${UNSTABLE}/version`],
  auth: 'user',
  async handler({ requester }, { keyBackup }) {
    return versionJson(await keyBackup.getVersion(requester.userId))
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3room_keysversionversion */
export const getRoomKeysVersion = route({
  operationId: 'getRoomKeysVersion',
  method: 'GET',
  path: `${STABLE}/version/:version`,
  aliases: [`${UNSTABLE}/version/:version`],
  auth: 'user',
  async handler({ requester, params }, { keyBackup }) {
    return versionJson(await keyBackup.getVersion(requester.userId, params.version))
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3room_keysversionversion */
export const putRoomKeysVersion = route({
  operationId: 'putRoomKeysVersion',
  method: 'PUT',
  path: `${STABLE}/version/:version`,
  aliases: [`${UNSTABLE}/version/:version`],
  auth: 'user',
  body: versionBody,
  async handler({ requester, params, body }, { keyBackup }) {
    if ((body.version ?? params.version) !== params.version) {
      throw invalidParam('The version of the body is not that of the path')
    }
    const backup = { algorithm: body.algorithm, authData: body.auth_data }
    await keyBackup.setAuthData(requester.userId, params.version, backup)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3room_keysversionversion */
export const deleteRoomKeysVersion = route({
  operationId: 'deleteRoomKeysVersion',
  method: 'DELETE',
  path: `${STABLE}/version/:version`,
  aliases: [`${UNSTABLE}/version/:version`],
  auth: 'user',
  async handler({ requester, params }, { keyBackup }) {
    await keyBackup.deleteVersion(requester.userId, params.version)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid */
export const putRoomKeyBySessionId = route({
  operationId: 'putRoomKeyBySessionId',
  method: 'PUT',
  path: `${STABLE}/keys/:roomId/:sessionId`,
  aliases: [`${UNSTABLE}/keys/:roomId/:sessionId`],
  auth: 'user',
  query: versionQuery,
  body: jsonObject,
  async handler({ requester, params, query, body }, { keyBackup }) {
    return keyBackup.putSessions(requester.userId, query.version, [{ ...params, json: body }])
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid */
export const getRoomKeyBySessionId = route({
  operationId: 'getRoomKeyBySessionId',
  method: 'GET',
  path: `${STABLE}/keys/:roomId/:sessionId`,
  aliases: [`${UNSTABLE}/keys/:roomId/:sessionId`],
  auth: 'user',
  query: versionQuery,
  async handler({ requester, params, query }, { keyBackup }) {
    const [session] = await keyBackup.listSessions(requester.userId, query.version, params)
    if (session === undefined) throw notFound('No such session in the backup')
    return sessionJson(session)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3room_keyskeysroomidsessionid */
export const deleteRoomKeyBySessionId = route({
  operationId: 'deleteRoomKeyBySessionId',
  method: 'DELETE',
  path: `${STABLE}/keys/:roomId/:sessionId`,
  aliases: [`${UNSTABLE}/keys/:roomId/:sessionId`],
  auth: 'user',
  query: versionQuery,
  async handler({ requester, params, query }, { keyBackup }) {
    return keyBackup.deleteSessions(requester.userId, query.version, params)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3room_keyskeysroomid */
export const putRoomKeysByRoomId = route({
  operationId: 'putRoomKeysByRoomId',
  method: 'PUT',
  path: `${STABLE}/keys/:roomId`,
  aliases: [`${UNSTABLE}/keys/:roomId`],
  auth: 'user',
  query: versionQuery,
  body: z.looseObject({ sessions: jsonObject }),
  maxBodyBytes: MAX_BODY_BYTES,
  async handler({ requester, params, query, body }, { keyBackup }) {
    const sessions = sessionsOf(params.roomId, body.sessions)
    return keyBackup.putSessions(requester.userId, query.version, sessions)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3room_keyskeysroomid */
export const getRoomKeysByRoomId = route({
  operationId: 'getRoomKeysByRoomId',
  method: 'GET',
  path: `${STABLE}/keys/:roomId`,
  aliases: [`${UNSTABLE}/keys/:roomId`],
  auth: 'user',
  query: versionQuery,
  async handler({ requester, params, query }, { keyBackup }) {
    const sessions = await keyBackup.listSessions(requester.userId, query.version, params)
    return { sessions: byId(sessions) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3room_keyskeysroomid */
export const deleteRoomKeysByRoomId = route({
  operationId: 'deleteRoomKeysByRoomId',
  method: 'DELETE',
  path: `${STABLE}/keys/:roomId`,
  aliases: [`${UNSTABLE}/keys/:roomId`],
  auth: 'user',
  query: versionQuery,
  async handler({ requester, params, query }, { keyBackup }) {
    return keyBackup.deleteSessions(requester.userId, query.version, params)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3room_keyskeys */
export const putRoomKeys = route({
  operationId: 'putRoomKeys',
  method: 'PUT',
  path: `${STABLE}/keys`,
  aliases: [`${UNSTABLE}/keys`],
  auth: 'user',
  query: versionQuery,
  body: z.looseObject({ rooms: jsonObject }),
  maxBodyBytes: MAX_BODY_BYTES,
  async handler({ requester, query, body }, { keyBackup }) {
    const sessions = Object.entries(body.rooms).flatMap(([roomId, room]) =>
      sessionsOf(roomId, isJsonObject(room) ? room['sessions'] : undefined),
    )
    return keyBackup.putSessions(requester.userId, query.version, sessions)
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3room_keyskeys */
export const getRoomKeys = route({
  operationId: 'getRoomKeys',
  method: 'GET',
  path: `${STABLE}/keys`,
  aliases: [`${UNSTABLE}/keys`],
  auth: 'user',
  query: versionQuery,
  async handler({ requester, query }, { keyBackup }) {
    const sessionsOfAll = await keyBackup.listSessions(requester.userId, query.version)
    const byRoom = groupBy(sessionsOfAll, ({ roomId }) => roomId)
    const rooms = [...byRoom].map(([roomId, sessions]) => [roomId, { sessions: byId(sessions) }] as const)
    return { rooms: Object.fromEntries(rooms) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3room_keyskeys */
export const deleteRoomKeys = route({
  operationId: 'deleteRoomKeys',
  method: 'DELETE',
  path: `${STABLE}/keys`,
  aliases: [`${UNSTABLE}/keys`],
  auth: 'user',
  query: versionQuery,
  async handler({ requester, query }, { keyBackup }) {
    return keyBackup.deleteSessions(requester.userId, query.version)
  },
})

function sessionsOf(roomId: string, sessions: JsonValue | undefined): SessionUpload[] {
  if (!isJsonObject(sessions)) throw badJson('The sessions of a room are an object')
  return Object.entries(sessions).map(([sessionId, json]) => ({ roomId, sessionId, json }))
}

function byId(sessions: readonly BackedUpSession[]): JsonObject {
  return Object.fromEntries(sessions.map((session) => [session.sessionId, sessionJson(session)]))
}

function sessionJson(session: BackedUpSession): JsonObject {
  return {
    first_message_index: session.firstMessageIndex,
    forwarded_count: session.forwardedCount,
    is_verified: session.isVerified,
    session_data: session.sessionData,
  }
}

function versionJson(backup: {
  version: number
  algorithm: string
  authData: JsonObject
  etag: number
  count: number
}): JsonObject {
  return {
    version: String(backup.version),
    algorithm: backup.algorithm,
    auth_data: backup.authData,
    etag: String(backup.etag),
    count: backup.count,
  }
}
