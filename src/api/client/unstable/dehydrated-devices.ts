import { z } from 'zod'
import { route } from '../../../http/route.js'
import type { DeviceId } from '../../../protocol/ids.js'
import { jsonObject, optionalJsonObject, optionalString } from '../json-object.js'

const PATH = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device'

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/3814-dehydrated-devices-with-ssss.md */
export const getDehydratedDevice = route({
  operationId: 'unstableGetDehydratedDevice',
  method: 'GET',
  path: PATH,
  auth: 'user',
  async handler({ requester }, { dehydratedDevices }) {
    const { deviceId, data } = await dehydratedDevices.get(requester.userId)
    return { device_id: deviceId, device_data: data }
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/3814-dehydrated-devices-with-ssss.md */
export const putDehydratedDevice = route({
  operationId: 'unstablePutDehydratedDevice',
  method: 'PUT',
  path: PATH,
  auth: 'user',
  body: z.looseObject({
    device_id: z.string(),
    device_data: jsonObject,
    device_keys: jsonObject,
    initial_device_display_name: optionalString,
    one_time_keys: optionalJsonObject,
    fallback_keys: optionalJsonObject,
  }),
  async handler({ requester, body }, { dehydratedDevices }) {
    await dehydratedDevices.put(requester.userId, {
      deviceId: body.device_id as DeviceId,
      displayName: body.initial_device_display_name,
      data: body.device_data,
      keys: {
        deviceKeys: body.device_keys,
        oneTimeKeys: body.one_time_keys,
        fallbackKeys: body.fallback_keys,
      },
    })
    return { device_id: body.device_id }
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/3814-dehydrated-devices-with-ssss.md */
export const deleteDehydratedDevice = route({
  operationId: 'unstableDeleteDehydratedDevice',
  method: 'DELETE',
  path: PATH,
  auth: 'user',
  async handler({ requester }, { dehydratedDevices }) {
    return { device_id: await dehydratedDevices.delete(requester.userId) }
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/3814-dehydrated-devices-with-ssss.md */
export const listDehydratedDeviceEvents = route({
  operationId: 'unstableListDehydratedDeviceEvents',
  method: 'POST',
  path: `${PATH}/:deviceId/events`,
  auth: 'user',
  body: z.looseObject({ next_batch: optionalString }),
  emptyBody: true,
  async handler({ requester, params, body }, { dehydratedDevices }) {
    const { userId } = requester
    const page = await dehydratedDevices.listEvents(userId, params.deviceId, body.next_batch)
    return { events: page.events, next_batch: page.nextBatch }
  },
})
