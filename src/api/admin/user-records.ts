import { z } from 'zod'
import type { DeviceId } from '../../protocol/ids.js'
import { json } from '../../http/responses.js'
import { route } from '../../http/route.js'
import type { AccountRecords } from '../../services/administration/account-records.js'
import type { JsonObject } from '../../util/json.js'
import { pusherJson } from '../client/pusher-json.js'
import { directionParam, nextOf, pageParams, timeParam } from './paging.js'

type File = Awaited<ReturnType<AccountRecords['media']>>['files'][number]

/** By what each is sorted. */
const MEDIA_ORDERS = {
  media_id: 'mediaId',
  upload_name: 'uploadName',
  created_ts: 'createdTs',
  last_access_ts: 'lastAccessTs',
  media_length: 'length',
  media_type: 'contentType',
  quarantined_by: 'quarantinedBy',
  safe_from_quarantine: 'isProtected',
} as const

export const listAccountDataOfUser = route({
  operationId: 'adminListAccountDataOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/accountdata',
  auth: 'admin',
  handler: async ({ params }, { accountRecords }) => ({
    account_data: await accountRecords.accountData(params.userId),
  }),
})

export const listPushersOfUser = route({
  operationId: 'adminListPushersOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/pushers',
  auth: 'admin',
  async handler({ params }, { accountRecords }) {
    const pushers = await accountRecords.pushers(params.userId)
    return { pushers: pushers.map(pusherJson), total: pushers.length }
  },
})

/** Lists the files that a user has uploaded, the newest first unless something is said of the order. */
export const listMediaOfUser = route({
  operationId: 'adminListMediaOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/media',
  auth: 'admin',
  query: z.looseObject({
    ...pageParams,
    order_by: z.enum(Object.keys(MEDIA_ORDERS) as [keyof typeof MEDIA_ORDERS]).optional(),
    dir: directionParam,
  }),
  async handler({ params, query }, { accountRecords }) {
    const isUnordered = query.order_by === undefined && query.dir === undefined
    const { files, total } = await accountRecords.media(params.userId, {
      from: query.from,
      limit: query.limit,
      orderBy: MEDIA_ORDERS[query.order_by ?? 'created_ts'],
      isDescending: isUnordered || query.dir === 'b',
    })
    const next = nextOf(query, total)
    return { media: files.map(fileJson), total, ...(next !== undefined && { next_token: next }) }
  },
})

/** How many invitations a user has sent. */
export const countInvitationsOfUser = route({
  operationId: 'adminCountInvitationsOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/sent_invite_count',
  auth: 'admin',
  query: z.looseObject({ from_ts: timeParam }),
  handler: async ({ params, query }, { accountRecords }) => ({
    invite_count: await accountRecords.sentInvitations(params.userId, query.from_ts),
  }),
})

/** How many rooms a user has joined, whether they are still there or not. */
export const countJoinedRoomsOfUser = route({
  operationId: 'adminCountJoinedRoomsOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/cumulative_joined_room_count',
  auth: 'admin',
  query: z.looseObject({ from_ts: timeParam }),
  handler: async ({ params, query }, { accountRecords }) => ({
    cumulative_joined_room_count: await accountRecords.joinedRooms(params.userId, query.from_ts),
  }),
})

export const findUserByThreepid = route({
  operationId: 'adminFindUserByThreepid',
  method: 'GET',
  path: '/_synapse/admin/v1/threepid/:medium/users/:address',
  auth: 'admin',
  handler: async ({ params }, { accountRecords }) => ({
    user_id: await accountRecords.findByThreepid(params.medium, params.address),
  }),
})

export const findUserByExternalId = route({
  operationId: 'adminFindUserByExternalId',
  method: 'GET',
  path: '/_synapse/admin/v1/auth_providers/:provider/users/:externalId',
  auth: 'admin',
  handler: async ({ params }, { accountRecords }) => ({
    user_id: await accountRecords.findByExternalId(params.provider, params.externalId),
  }),
})

/** A device without a login. One that is there already stays as it is. */
export const createDeviceOfUser = route({
  operationId: 'adminCreateDeviceOfUser',
  method: 'POST',
  path: '/_synapse/admin/v2/users/:userId/devices',
  auth: 'admin',
  body: z.looseObject({ device_id: z.string().min(1) }),
  async handler({ params, body }, { devices, accountOverviews }) {
    await accountOverviews.show(params.userId)
    await devices.create(params.userId, body.device_id as DeviceId, undefined)
    return json(201, {})
  },
})

/** A token with which an administrator acts as somebody: without a device, and the user is not told. */
export const loginAsUser = route({
  operationId: 'adminLoginAsUser',
  method: 'POST',
  path: '/_synapse/admin/v1/users/:userId/login',
  auth: 'admin',
  accounts: 'own',
  emptyBody: true,
  body: z.looseObject({ valid_until_ms: z.number().int().min(0).nullish() }),
  handler: async ({ params, requester, body }, { accountAdministration }) => ({
    access_token: await accountAdministration.loginAs(
      requester,
      params.userId,
      body.valid_until_ms ?? undefined,
    ),
  }),
})

function fileJson(file: File): JsonObject {
  return {
    media_id: file.mediaId,
    media_type: file.contentType ?? null,
    media_length: file.length ?? null,
    upload_name: file.uploadName ?? null,
    created_ts: file.createdTs,
    last_access_ts: file.lastAccessTs,
    quarantined_by: file.quarantinedBy ?? null,
    safe_from_quarantine: file.isProtected,
  }
}
