import { z } from 'zod'
import { invalidParam, notFound } from '../../protocol/errors.js'
import { parseRoomId, parseUserId, type RoomId, type UserId } from '../../protocol/ids.js'
import { repeatedParam } from '../../http/query.js'
import { route } from '../../http/route.js'
import { optionalBoolean, optionalString } from '../client/json-object.js'
import { timeParam } from './paging.js'

/** Brings a user of this server into a room. */
export const joinRoomAsUser = route({
  operationId: 'adminJoinRoom',
  method: 'POST',
  path: '/_synapse/admin/v1/join/:roomIdOrAlias',
  auth: 'admin',
  query: z.looseObject({ server_name: repeatedParam, via: repeatedParam }),
  body: z.looseObject({ user_id: z.string() }),
  async handler({ params, query, requester, body }, { roomAdministration }) {
    const wish = { room: params.roomIdOrAlias, via: [...query.via, ...query.server_name] }
    return { room_id: await roomAdministration.join(requester, toUserId(body.user_id), wish) }
  },
})

/** Gives a user, by default the administrator, the highest power that somebody of this server has in a room. */
export const makeRoomAdmin = route({
  operationId: 'adminMakeRoomAdmin',
  method: 'POST',
  path: '/_synapse/admin/v1/rooms/:roomIdOrAlias/make_room_admin',
  auth: 'admin',
  emptyBody: true,
  body: z.looseObject({ user_id: optionalString }),
  async handler({ params, requester, body }, { roomAdministration }) {
    const userId = body.user_id === undefined ? requester.userId : toUserId(body.user_id)
    await roomAdministration.makeAdmin(params.roomIdOrAlias, userId)
    return {}
  },
})

/** Redacts what a user has sent, in the background. */
export const redactEventsOfUser = route({
  operationId: 'adminRedactEventsOfUser',
  method: 'POST',
  path: '/_synapse/admin/v1/user/:userId/redact',
  auth: 'admin',
  body: z.looseObject({
    rooms: z.array(z.string()).max(10_000),
    reason: optionalString,
    limit: z.number().int().min(1).max(1_000_000).nullish(),
    use_admin: optionalBoolean,
    after_ts: z.number().int().nullish(),
    before_ts: z.number().int().nullish(),
  }),
  async handler({ params, requester, body }, { userRedactions }) {
    const id = await userRedactions.start(requester.userId, params.userId, {
      rooms: body.rooms.map(toRoomId),
      reason: body.reason,
      limit: body.limit ?? 1_000,
      useAdmin: body.use_admin ?? false,
      after: body.after_ts ?? undefined,
      before: body.before_ts ?? undefined,
    })
    return { redact_id: id }
  },
})

export const getRedactionOfUser = route({
  operationId: 'adminGetRedactionOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/user/redact_status/:redactId',
  auth: 'admin',
  async handler({ params }, { userRedactions }) {
    const task = await userRedactions.find(params.redactId)
    if (task === undefined) throw notFound(`redact id '${params.redactId}' not found`)
    if (task.status === 'failed') return { status: task.status, error: task.error ?? '' }
    if (task.status === 'active') return { status: task.status }
    return { status: task.status, failed_redactions: task.failed }
  },
})

/** What the server does in the background because somebody has asked for it. */
export const listScheduledTasks = route({
  operationId: 'adminListScheduledTasks',
  method: 'GET',
  path: '/_synapse/admin/v1/scheduled_tasks',
  auth: 'admin',
  query: z.looseObject({
    action_name: z.string().optional(),
    resource_id: z.string().optional(),
    status: z.enum(['scheduled', 'active', 'complete', 'cancelled', 'failed']).optional(),
    max_timestamp: timeParam.optional(),
  }),
  async handler({ query }, { lastingTasks }) {
    const { status } = query
    // Nothing waits for a time, and nothing is called off.
    const isOther = status === 'scheduled' || status === 'cancelled'
    const tasks = isOther
      ? []
      : await lastingTasks.list({
          action: query.action_name,
          resource: query.resource_id,
          statuses: status && [status],
          upToTs: query.max_timestamp,
        })
    return {
      scheduled_tasks: tasks.map((task) => ({
        id: task.taskId,
        action: task.action,
        status: task.status,
        timestamp_ms: task.changedTs,
        resource_id: task.resource,
        result: task.result ?? null,
        error: task.error ?? null,
      })),
    }
  },
})

function toUserId(text: string): UserId {
  const userId = parseUserId(text)
  if (userId === undefined) throw invalidParam('user_id is not a user ID')
  return userId
}

function toRoomId(text: string): RoomId {
  const roomId = parseRoomId(text)
  if (roomId === undefined) throw invalidParam('rooms must be a list of room IDs')
  return roomId
}
