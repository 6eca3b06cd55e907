import { z } from 'zod'
import { json, noContent } from '../../http/responses.js'
import { route } from '../../http/route.js'
import { localpartBody } from './localpart-body.js'

const MAX_DEVICES = 10_000
const deviceId = z.string().min(1).max(255)
const deviceBody = localpartBody.extend({ device_id: deviceId })

/** The device of a session that begins: 201 where it is new. */
export const upsertDevice = route({
  operationId: 'unstableServiceUpsertDevice',
  method: 'POST',
  path: '/_synapse/mas/upsert_device',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: deviceBody.extend({ display_name: z.string().nullish() }),
  async handler({ body }, { delegatedDevices }) {
    const { localpart, device_id: id, display_name: displayName } = body
    const isNew = await delegatedDevices.put(localpart, id, displayName ?? undefined)
    return json(isNew ? 201 : 200, {})
  },
})

export const deleteDevice = route({
  operationId: 'unstableServiceDeleteDevice',
  method: 'POST',
  path: '/_synapse/mas/delete_device',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: deviceBody,
  async handler({ body }, { delegatedDevices }) {
    await delegatedDevices.delete(body.localpart, body.device_id)
    return noContent()
  },
})

export const updateDeviceDisplayName = route({
  operationId: 'unstableServiceUpdateDeviceDisplayName',
  method: 'POST',
  path: '/_synapse/mas/update_device_display_name',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: deviceBody.extend({ display_name: z.string() }),
  async handler({ body }, { delegatedDevices }) {
    await delegatedDevices.rename(body.localpart, body.device_id, body.display_name)
    return {}
  },
})

/** All devices that a user has. */
export const syncDevices = route({
  operationId: 'unstableServiceSyncDevices',
  method: 'POST',
  path: '/_synapse/mas/sync_devices',
  auth: 'authenticationService',
  accounts: 'delegated',
  body: localpartBody.extend({ devices: z.array(deviceId).max(MAX_DEVICES) }),
  async handler({ body }, { delegatedDevices }) {
    await delegatedDevices.sync(body.localpart, body.devices)
    return {}
  },
})
