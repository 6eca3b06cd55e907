import type { PushGatewayClient } from '../../net/clients/push-gateway-client.js'
import type { Event } from '../../protocol/event.js'
import { pruneStrippedState } from '../../protocol/stripped-state.js'
import type { PusherRecord } from '../../storage/stores/pushers.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { UserNotification } from './notified-events.js'
import type { PusherDelivery, PusherNews, PusherOutcome } from './pusher-delivery.js'
import type { RoomNames } from './room-names.js'
import type { SenderNames } from './sender-names.js'

export interface HttpPusherDependencies {
  readonly gateway: Pick<PushGatewayClient, 'notify'>
  readonly senderNames: Pick<SenderNames, 'get'>
  readonly roomNames: Pick<RoomNames, 'get'>
  /** `push.include_content`. */
  readonly includesContent: boolean
}

/** https://github.com/matrix-org/matrix-spec-proposals/pull/4076: for apps that count by themselves. */
const NO_BADGE_KEYS = ['disable_badge_count', 'org.matrix.msc4076.disable_badge_count']

/** Tells push gateways. https://spec.matrix.org/latest/push-gateway-api/#homeserver-behaviour */
export class HttpPusher implements PusherDelivery {
  readonly #deps: HttpPusherDependencies

  constructor(deps: HttpPusherDependencies) {
    this.#deps = deps
  }

  /** One request for each notification, in order; one for the count alone where only that has changed. */
  async deliver(pusher: PusherRecord, news: PusherNews, signal: AbortSignal): Promise<PusherOutcome> {
    const badge = countsFor(pusher) ? news.badge : 0
    let { position } = pusher
    try {
      for (const notification of news.notifications) {
        const body = await this.#describe(pusher, notification, badge)
        if (await this.#send(pusher, body, signal)) return { kind: 'rejected' }
        position = notification.position
      }
      // A new pusher's app knows how much there is.
      const isNews = pusher.badge === undefined ? badge > 0 : pusher.badge !== badge
      if (news.notifications.length === 0 && countsFor(pusher) && isNews) {
        const body = { counts: { unread: badge }, devices: [deviceOf(pusher, {})] }
        if (await this.#send(pusher, body, signal)) return { kind: 'rejected' }
      }
      return { kind: 'done', badge }
    } catch (error) {
      return { kind: 'failed', position, error }
    }
  }

  /** True when the gateway rejects the pusher's key. */
  async #send(pusher: PusherRecord, notification: JsonObject, signal: AbortSignal): Promise<boolean> {
    const url = pusher.data['url']
    if (typeof url !== 'string') throw new TypeError(`The pusher ${pusher.pusherId} has no URL`)
    const rejected = await this.#deps.gateway.notify(url, notification, signal)
    return rejected.includes(pusher.pushkey)
  }

  async #describe(pusher: PusherRecord, notification: UserNotification, badge: number): Promise<JsonObject> {
    const { stored, room, outcome } = notification
    const { event } = stored
    const tweaks = tweaksOf(outcome.actions)
    const isUrgent = event.type === 'm.room.encrypted' || 'sound' in tweaks || tweaks['highlight'] === true
    const common: JsonObject = {
      event_id: event.eventId,
      room_id: event.roomId,
      prio: isUrgent ? 'high' : 'low',
      ...(countsFor(pusher) && { counts: { unread: badge } }),
    }
    if (pusher.data['format'] === 'event_id_only') {
      return { ...common, devices: [deviceOf(pusher, {})] }
    }
    const senderName = await this.#deps.senderNames.get(room.roomNid, event.sender)
    const { name, alias } = await this.#namesOfRoom(pusher.userId, notification)
    return {
      ...common,
      id: event.eventId,
      type: event.type,
      sender: event.sender,
      ...(senderName !== undefined && { sender_display_name: senderName }),
      ...(name !== undefined && { room_name: name }),
      ...(alias !== undefined && { room_alias: alias }),
      ...(event.type === 'm.room.member' &&
        event.stateKey !== undefined && {
          membership: event.content['membership'] ?? null,
          user_is_target: event.stateKey === pusher.userId,
        }),
      ...(this.#deps.includesContent && { content: event.content }),
      devices: [deviceOf(pusher, tweaks)],
    }
  }

  async #namesOfRoom(
    userId: PusherRecord['userId'],
    { stored, room }: UserNotification,
  ): Promise<{ name: string | undefined; alias: string | undefined }> {
    const known = await this.#deps.roomNames.get(userId, room.roomNid)
    const told = namesInInvitation(stored.event)
    return { name: known.name ?? told.name ?? told.alias, alias: known.alias ?? told.alias }
  }
}

/** What a room elsewhere is called, of which nothing is known but what came with the invitation. */
function namesInInvitation({ json }: Event): { name: string | undefined; alias: string | undefined } {
  const unsigned = isJsonObject(json['unsigned']) ? json['unsigned'] : {}
  const state = pruneStrippedState(unsigned['invite_room_state'])
  const textOf = (stateType: string, key: string): string | undefined => {
    const text = state.find(({ type, state_key: stateKey }) => type === stateType && stateKey === '')
      ?.content[key]
    return typeof text === 'string' && text !== '' ? text : undefined
  }
  return { name: textOf('m.room.name', 'name'), alias: textOf('m.room.canonical_alias', 'alias') }
}

function countsFor({ data }: PusherRecord): boolean {
  return !NO_BADGE_KEYS.some((key) => data[key] === true)
}

/** The device with all that the client has put beside the URL. */
function deviceOf(pusher: PusherRecord, tweaks: JsonObject): JsonObject {
  const data = Object.fromEntries(
    Object.entries(pusher.data).filter(([key]) => key !== 'url' && !NO_BADGE_KEYS.includes(key)),
  )
  return {
    app_id: pusher.appId,
    pushkey: pusher.pushkey,
    pushkey_ts: Math.floor(pusher.pushkeyTs / 1000),
    data,
    ...(Object.keys(tweaks).length > 0 && { tweaks }),
  }
}

/** https://spec.matrix.org/latest/client-server-api/#actions */
function tweaksOf(actions: readonly JsonValue[]): JsonObject {
  const tweaks: JsonObject = {}
  for (const action of actions) {
    if (!isJsonObject(action)) continue
    const { set_tweak: name, value } = action
    if (typeof name === 'string') tweaks[name] = value ?? (name === 'highlight' ? true : 'default')
  }
  return tweaks
}
