import { z } from 'zod'
import { notFound } from '../../protocol/errors.js'
import { route } from '../../http/route.js'
import type { AccountOverview } from '../../services/administration/account-overviews.js'
import type { JsonObject } from '../../util/json.js'
import { optionalString } from '../client/json-object.js'

export const listRoomsOfUser = route({
  operationId: 'adminListRoomsOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/joined_rooms',
  auth: 'admin',
  async handler({ params }, { accountOverviews }) {
    const rooms = await accountOverviews.listRooms(params.userId, 'join')
    return { joined_rooms: rooms, total: rooms.length }
  },
})

export const listMembershipsOfUser = route({
  operationId: 'adminListMembershipsOfUser',
  method: 'GET',
  path: '/_synapse/admin/v1/users/:userId/memberships',
  auth: 'admin',
  async handler({ params }, { accountOverviews }) {
    return { memberships: Object.fromEntries(await accountOverviews.listMemberships(params.userId)) }
  },
})

export const listDevicesOfUser = route({
  operationId: 'adminListDevicesOfUser',
  method: 'GET',
  path: '/_synapse/admin/v2/users/:userId/devices',
  auth: 'admin',
  async handler({ params }, { accountOverviews }) {
    const account = await accountOverviews.show(params.userId)
    return {
      devices: account.devices.map((device) => deviceJson(account, device)),
      total: account.devices.length,
    }
  },
})

export const getDeviceOfUser = route({
  operationId: 'adminGetDeviceOfUser',
  method: 'GET',
  path: '/_synapse/admin/v2/users/:userId/devices/:deviceId',
  auth: 'admin',
  async handler({ params }, { accountOverviews }) {
    const account = await accountOverviews.show(params.userId)
    const device = account.devices.find(({ deviceId }) => deviceId === params.deviceId)
    if (device === undefined) throw notFound('No device found')
    return deviceJson(account, device)
  },
})

export const renameDeviceOfUser = route({
  operationId: 'adminRenameDeviceOfUser',
  method: 'PUT',
  path: '/_synapse/admin/v2/users/:userId/devices/:deviceId',
  auth: 'admin',
  body: z.looseObject({ display_name: optionalString }),
  async handler({ params, body }, { devices, accountOverviews }) {
    await accountOverviews.show(params.userId)
    if (body.display_name !== undefined) {
      await devices.rename(params.userId, params.deviceId, body.display_name)
    }
    return {}
  },
})

export const deleteDeviceOfUser = route({
  operationId: 'adminDeleteDeviceOfUser',
  method: 'DELETE',
  path: '/_synapse/admin/v2/users/:userId/devices/:deviceId',
  auth: 'admin',
  async handler({ params }, { devices, accountOverviews }) {
    await accountOverviews.show(params.userId)
    await devices.delete(params.userId, [params.deviceId])
    return {}
  },
})

export const deleteDevicesOfUser = route({
  operationId: 'adminDeleteDevicesOfUser',
  method: 'POST',
  path: '/_synapse/admin/v2/users/:userId/delete_devices',
  auth: 'admin',
  body: z.looseObject({ devices: z.array(z.string()) }),
  async handler({ params, body }, { devices, accountOverviews }) {
    await accountOverviews.show(params.userId)
    await devices.delete(params.userId, body.devices)
    return {}
  },
})

function deviceJson({ userId }: AccountOverview, device: AccountOverview['devices'][number]): JsonObject {
  return {
    device_id: device.deviceId,
    display_name: device.displayName ?? null,
    last_seen_ip: device.lastSeenIp ?? null,
    last_seen_user_agent: device.userAgent ?? null,
    last_seen_ts: device.lastSeenTs ?? null,
    user_id: userId,
    dehydrated: false,
  }
}
