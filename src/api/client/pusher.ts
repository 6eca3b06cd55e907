import { z } from 'zod'
import { route } from '../../http/route.js'
import { missingParam } from '../../protocol/errors.js'
import type { PusherRecord } from '../../services/delivery/pushers.js'
import type { JsonObject } from '../../util/json.js'
import { optionalBoolean, optionalJsonObject, optionalString } from './json-object.js'
import { pusherJson } from './pusher-json.js'

/** https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3pushers */
export const getPushers = route({
  operationId: 'getPushers',
  method: 'GET',
  path: '/_matrix/client/v3/pushers',
  auth: 'user',
  async handler({ requester }, { pushers }) {
    return { pushers: (await pushers.list(requester.userId)).map(ownPusherJson) }
  },
})

/** https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3pushersset */
export const postPusher = route({
  operationId: 'postPusher',
  method: 'POST',
  path: '/_matrix/client/v3/pushers/set',
  auth: 'user',
  body: z.looseObject({
    app_id: z.string(),
    pushkey: z.string(),
    kind: z.string().nullable().optional(),
    app_display_name: optionalString,
    device_display_name: optionalString,
    profile_tag: optionalString,
    lang: optionalString,
    data: optionalJsonObject,
    append: optionalBoolean,
    enabled: optionalBoolean,
    'org.matrix.msc3881.enabled': optionalBoolean,
  }),
  async handler({ requester, body }, { pushers }) {
    const { app_id: appId, pushkey, kind } = body
    if (kind === undefined) throw missingParam('kind')
    if (kind === null) {
      await pushers.delete({ userId: requester.userId, appId, pushkey })
      return {}
    }
    await pushers.set(requester, {
      appId,
      pushkey,
      kind,
      appDisplayName: body.app_display_name,
      deviceDisplayName: body.device_display_name,
      profileTag: body.profile_tag,
      lang: body.lang,
      data: body.data,
      append: body.append ?? false,
      isEnabled: body['org.matrix.msc3881.enabled'] ?? body.enabled ?? true,
    })
    return {}
  },
})

/** https://github.com/matrix-org/matrix-spec-proposals/pull/3881: which device it is, and whether it is told. */
function ownPusherJson(pusher: PusherRecord): JsonObject {
  return {
    ...pusherJson(pusher),
    'org.matrix.msc3881.enabled': pusher.isEnabled,
    'org.matrix.msc3881.device_id': pusher.deviceId ?? null,
  }
}
