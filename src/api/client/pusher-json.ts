import type { PusherRecord } from '../../services/delivery/pushers.js'
import type { JsonObject } from '../../util/json.js'

/** A pusher as the specification has it. https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3pushers */
export function pusherJson(pusher: Omit<PusherRecord, 'isEnabled' | 'deviceId'>): JsonObject {
  return {
    app_display_name: pusher.appDisplayName,
    app_id: pusher.appId,
    data: pusher.data,
    device_display_name: pusher.deviceDisplayName,
    kind: pusher.kind,
    lang: pusher.lang,
    profile_tag: pusher.profileTag ?? '',
    pushkey: pusher.pushkey,
  }
}
