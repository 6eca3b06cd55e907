import { z } from 'zod'
import { HttpResponse } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { passUiAuthGate } from '../../http/ui-auth-gate.js'
import { unrecognized } from '../../protocol/errors.js'
import type { DeviceRecord } from '../../services/devices/devices.js'
import type { JsonObject } from '../../util/json.js'
import { jsonObject, optionalString } from './json-object.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3devices */
export const getDevices = route({
  operationId: 'getDevices',
  method: 'GET',
  path: '/_matrix/client/v3/devices',
  auth: 'userOrGuest',
  async handler({ requester }, { devices }) {
    return { devices: (await devices.list(requester.userId)).map(deviceJson) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3devicesdeviceid */
export const getDevice = route({
  operationId: 'getDevice',
  method: 'GET',
  path: '/_matrix/client/v3/devices/:deviceId',
  auth: 'userOrGuest',
  async handler({ params, requester }, { devices }) {
    return deviceJson(await devices.require(requester.userId, params.deviceId))
  },
})

/** https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3devicesdeviceid */
export const updateDevice = route({
  operationId: 'updateDevice',
  method: 'PUT',
  path: '/_matrix/client/v3/devices/:deviceId',
  auth: 'userOrGuest',
  body: z.looseObject({ display_name: optionalString }),
  async handler({ params, requester, body }, { devices }) {
    const { userId } = requester
    const isCreated =
      requester.appserviceId !== undefined &&
      (await devices.create(userId, params.deviceId, body.display_name))
    if (isCreated) return new HttpResponse(201, { json: {} })
    if (body.display_name === undefined) await devices.require(userId, params.deviceId)
    else await devices.rename(userId, params.deviceId, body.display_name)
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#delete_matrixclientv3devicesdeviceid */
export const deleteDevice = route({
  operationId: 'deleteDevice',
  method: 'DELETE',
  path: '/_matrix/client/v3/devices/:deviceId',
  auth: 'user',
  body: jsonObject,
  emptyBody: true,
  async handler({ params, requester, request, body }, { authenticationService, devices, uiAuth }) {
    // People end sessions at the service, which then deletes the devices.
    if (authenticationService !== undefined && requester.appserviceId === undefined) throw unrecognized()
    const challenge = await passUiAuthGate(uiAuth, { requester, request, body }, { mayReuse: true })
    if (challenge !== undefined) return challenge
    await devices.delete(requester.userId, [params.deviceId])
    return {}
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3delete_devices */
export const deleteDevices = route({
  operationId: 'deleteDevices',
  method: 'POST',
  path: '/_matrix/client/v3/delete_devices',
  auth: 'user',
  accounts: 'own',
  body: z.looseObject({ devices: z.array(z.string()) }),
  async handler({ requester, request, body }, { devices, uiAuth }) {
    const gated = { requester, request, body: body as JsonObject }
    const challenge = await passUiAuthGate(uiAuth, gated, { mayReuse: true })
    if (challenge !== undefined) return challenge
    await devices.delete(requester.userId, body.devices)
    return {}
  },
})

/**
 * Some clients refuse devices that do not say what they are called, null for nothing, and where and when they were seen.
 * One that has not been used since it logged in was seen then.
 */
function deviceJson(device: DeviceRecord): JsonObject {
  return {
    device_id: device.deviceId,
    display_name: device.displayName ?? null,
    last_seen_ip: device.lastSeenIp ?? '',
    last_seen_ts: device.lastSeenTs ?? device.createdTs,
  }
}
