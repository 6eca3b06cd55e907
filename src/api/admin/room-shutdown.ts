import { z } from 'zod'
import { invalidParam, notFound } from '../../protocol/errors.js'
import { parseUserId, type UserId } from '../../protocol/ids.js'
import { route, type HandlerInput } from '../../http/route.js'
import type { Shutdown, ShutdownResult, ShutdownWish } from '../../services/journeys/room-shutdowns.js'
import type { JsonObject } from '../../util/json.js'
import { optionalBoolean, optionalString } from '../client/json-object.js'

const shutdownBody = z.looseObject({
  new_room_user_id: optionalString,
  room_name: optionalString,
  message: optionalString,
  block: optionalBoolean,
  purge: optionalBoolean,
  force_purge: optionalBoolean,
})

type ShutdownBody = HandlerInput<'', 'admin', undefined, z.output<typeof shutdownBody>>['body']

/** Takes this server's users out of a room and removes it; answers when that is done. */
export const deleteRoom = route({
  operationId: 'adminDeleteRoom',
  method: 'DELETE',
  path: '/_synapse/admin/v1/rooms/:roomId',
  auth: 'admin',
  emptyBody: true,
  body: shutdownBody,
  async handler({ params, requester, body }, { roomShutdowns }) {
    const id = await roomShutdowns.start(requester, params.roomId, wishOf(body))
    return resultJson(await roomShutdowns.outcome(id))
  },
})

/** The same in the background. */
export const deleteRoomInBackground = route({
  operationId: 'adminDeleteRoomInBackground',
  method: 'DELETE',
  path: '/_synapse/admin/v2/rooms/:roomId',
  auth: 'admin',
  emptyBody: true,
  body: shutdownBody,
  async handler({ params, requester, body }, { roomShutdowns }) {
    return { delete_id: await roomShutdowns.start(requester, params.roomId, wishOf(body)) }
  },
})

export const getRoomDeletion = route({
  operationId: 'adminGetRoomDeletion',
  method: 'GET',
  path: '/_synapse/admin/v2/rooms/delete_status/:deleteId',
  auth: 'admin',
  async handler({ params: { deleteId } }, { roomShutdowns }) {
    const task = await roomShutdowns.find(deleteId)
    if (task === undefined) throw notFound(`delete id '${deleteId}' not found`)
    return shutdownJson(task)
  },
})

export const listDeletionsOfRoom = route({
  operationId: 'adminListDeletionsOfRoom',
  method: 'GET',
  path: '/_synapse/admin/v2/rooms/:roomId/delete_status',
  auth: 'admin',
  async handler({ params: { roomId } }, { roomShutdowns }) {
    const tasks = await roomShutdowns.list(roomId)
    if (tasks.length === 0) throw notFound(`No delete task for room_id '${roomId}' found`)
    return { results: tasks.map(shutdownJson) }
  },
})

export const isRoomBlocked = route({
  operationId: 'adminIsRoomBlocked',
  method: 'GET',
  path: '/_synapse/admin/v1/rooms/:roomId/block',
  auth: 'admin',
  async handler({ params }, { roomBlocks }) {
    const userId = await roomBlocks.blockedBy(params.roomId)
    return userId === undefined ? { block: false } : { block: true, user_id: userId }
  },
})

/** Keeps this server's users out of a room, or lets them in again. */
export const blockRoom = route({
  operationId: 'adminBlockRoom',
  method: 'PUT',
  path: '/_synapse/admin/v1/rooms/:roomId/block',
  auth: 'admin',
  body: z.looseObject({ block: z.boolean() }),
  async handler({ params, requester, body }, { roomBlocks }) {
    await roomBlocks.set(params.roomId, body.block, requester.userId)
    return { block: body.block }
  },
})

function wishOf(body: ShutdownBody): ShutdownWish {
  return {
    newRoomUserId: body.new_room_user_id === undefined ? undefined : toUserId(body.new_room_user_id),
    newRoomName: body.room_name,
    message: body.message,
    block: body.block ?? false,
    purge: body.purge ?? true,
    forcePurge: body.force_purge ?? false,
  }
}

function toUserId(text: string): UserId {
  const userId = parseUserId(text)
  if (userId === undefined) throw invalidParam('new_room_user_id is not a user ID')
  return userId
}

function shutdownJson({ taskId, roomId, status, error, outcome }: Shutdown): JsonObject {
  return {
    delete_id: taskId,
    room_id: roomId,
    status,
    ...(error !== undefined && { error }),
    shutdown_room: resultJson(outcome),
  }
}

function resultJson(result: ShutdownResult): JsonObject {
  return {
    kicked_users: [...result.kickedUsers],
    failed_to_kick_users: [...result.failedToKickUsers],
    local_aliases: [...result.localAliases],
    new_room_id: result.newRoomId ?? null,
  }
}
