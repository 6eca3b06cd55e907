import { badJson, invalidParam, tooLarge } from '../../protocol/errors.js'
import {
  fitsBytes,
  parseUserId,
  serverNameOf,
  type DeviceId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type { DeviceInboxStore, InboxMessage } from '../../storage/stores/device-inbox.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { ReceivedMessage, ReceivedToDeviceStore } from '../../storage/stores/received-to-device.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import { Batcher } from '../../util/batcher.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { PositionSink } from '../streams/notifier.js'
import type { DeviceCleanup } from './devices.js'

/** Content by user and device; the device `*` stands for all of the user's. */
export type ToDeviceMessages = ReadonlyMap<UserId, ReadonlyMap<string, JsonObject>>

export interface ToDeviceDependencies {
  readonly db: Database
  readonly inbox: DeviceInboxStore
  readonly devices: DevicesStore
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  readonly positions: PositionSink
  readonly serverName: ServerName
  /** Sends what is for users of other servers on to them. Without it, nobody there is reached. */
  readonly sendRemote?: (sender: UserId, type: string, messages: ToDeviceMessages) => Promise<void>
  /** What has come from other servers; without it, nothing does. */
  readonly received?: { readonly store: ReceivedToDeviceStore; readonly clock: Pick<Clock, 'now'> }
}

const ALL_DEVICES = '*'
const MAX_TYPE_BYTES = 255
/** Of one message: a sync may carry a hundred of them, and a transaction between servers must be able to. */
const MAX_CONTENT_BYTES = 65_536
/** Users and devices named by one request. */
const MAX_RECIPIENTS = 10_000
/** Requests that share a transaction. */
const MAX_BATCH = 200

/** A request's messages for devices of ours. */
interface Delivery {
  readonly sender: UserId
  readonly type: string
  readonly messages: readonly Omit<InboxMessage, 'streamId' | 'sender' | 'type'>[]
  /** Of what comes from another server; it may come again. */
  readonly received: ReceivedMessage | undefined
}

/**
 * Messages from device to device. Each waits in the device's inbox until the device says that it has it; the order is
 * that of arrival. https://spec.matrix.org/latest/client-server-api/#send-to-device-messaging
 */
export class ToDevice implements DeviceCleanup {
  readonly #deps: ToDeviceDependencies
  readonly #batcher: Batcher<Delivery>

  constructor(deps: ToDeviceDependencies) {
    this.#deps = deps
    this.#batcher = new Batcher((deliveries) => this.#store(deliveries), { maxItems: MAX_BATCH })
  }

  /**
   * Sends messages of a user's; resolves when they are stored. `messages` is the request's: content by user and device.
   * Users and devices that do not exist are passed over. Throws `M_BAD_JSON` for content that is no object, `M_TOO_LARGE`
   * for more than 64 KiB of it, `M_INVALID_PARAM` for what is no user ID and for too many recipients.
   */
  async send(sender: UserId, type: string, messages: JsonObject): Promise<void> {
    if (!fitsBytes(type, MAX_TYPE_BYTES)) throw invalidParam(`An event type may have ${MAX_TYPE_BYTES} bytes`)
    const { local, remote } = this.#split(parseMessages(messages))
    await this.deliver(sender, type, local)
    if (remote.size > 0) await this.#deps.sendRemote?.(sender, type, remote)
  }

  /**
   * Puts messages, whoever they are from, into the inboxes of devices of this server. What has been `received` before is
   * not delivered again.
   */
  async deliver(
    sender: UserId,
    type: string,
    messages: ToDeviceMessages,
    received?: ReceivedMessage,
  ): Promise<void> {
    const addressed = await this.#address(messages)
    if (addressed.length > 0) await this.#batcher.add({ sender, type, messages: addressed, received })
  }

  /**
   * The oldest messages that wait for a device, at most `limit` of those after `after` and at or below `upTo`. The
   * result's `upTo` is the position that acknowledges them: the last one's when there are more, else the one asked
   * for.
   */
  async list(
    q: Query,
    userId: UserId,
    deviceId: DeviceId,
    { after = 0, upTo, limit }: { after?: number; upTo: number; limit: number },
  ): Promise<{ events: JsonObject[]; upTo: number }> {
    const address = { userId, deviceId }
    if ((await this.#deps.inbox.getNewest(q, address)) === 0) return { events: [], upTo }
    const messages = await this.#deps.inbox.list(q, address, { after, upTo, limit })
    const events = messages.map(({ sender, type, content }) => ({ sender, type, content }))
    const last = messages.length === limit ? messages.at(-1)?.streamId : undefined
    return { events, upTo: last ?? upTo }
  }

  /** Deletes the messages that a device has received: everything at or below `upTo`. Mostly without a query. */
  async acknowledge(userId: UserId, deviceId: DeviceId, upTo: number): Promise<void> {
    const { db, inbox } = this.#deps
    const address = { userId, deviceId }
    if (upTo <= 0 || (await inbox.getNewest(db.reader, address)) === 0) return
    const [oldest] = await inbox.list(db.reader, address, { upTo, limit: 1 })
    if (oldest === undefined) return
    await db.write('delete_received_messages', (tx) => inbox.deleteUpTo(tx, address, upTo))
  }

  async deleteForDevices(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    await this.#deps.inbox.deleteForDevices(tx, userId, deviceIds)
  }

  #split(messages: ToDeviceMessages): { local: ToDeviceMessages; remote: ToDeviceMessages } {
    const local = new Map<UserId, ReadonlyMap<string, JsonObject>>()
    const remote = new Map<UserId, ReadonlyMap<string, JsonObject>>()
    for (const [userId, byDevice] of messages) {
      const isLocal = serverNameOf(userId) === this.#deps.serverName
      ;(isLocal ? local : remote).set(userId, byDevice)
    }
    return { local, remote }
  }

  /** Who of the addressed devices exists, and what is for it: its own message before the one for all. */
  async #address(messages: ToDeviceMessages): Promise<Delivery['messages']> {
    if (messages.size === 0) return []
    const devices = await this.#deps.devices.listForUsers(this.#deps.db.reader, [...messages.keys()])
    return devices.flatMap(({ userId, deviceId }) => {
      const byDevice = messages.get(userId)
      const content = byDevice?.get(deviceId) ?? byDevice?.get(ALL_DEVICES)
      return content === undefined ? [] : [{ userId, deviceId, content }]
    })
  }

  async #store(all: readonly Delivery[]): Promise<void> {
    const { db, inbox, streamIds, positions } = this.#deps
    await db.write('store_to_device_messages', async (tx) => {
      const deliveries = await this.#withoutRepeated(tx, all)
      if (deliveries.length === 0) return
      const ids = await streamIds.allocate(tx, deliveries.length)
      const messages = deliveries.flatMap(({ sender, type, messages }, index) =>
        messages.map((message) => ({ ...message, sender, type, streamId: ids[index]! })),
      )
      await inbox.insert(tx, messages)
      const users = [...new Set(messages.map(({ userId }) => userId))]
      tx.afterCommit(() => positions.onNewPosition('to_device', { users }))
    })
  }

  /** Of what comes from other servers, each message the first time only. */
  async #withoutRepeated(tx: Tx, deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    const { received } = this.#deps
    const seen = new Set<string>()
    const distinct = deliveries.filter((delivery) => {
      if (delivery.received === undefined) return true
      const key = `${delivery.received.origin}\u0000${delivery.received.messageId}`
      if (seen.has(key)) return false
      seen.add(key)
      return true
    })
    if (received === undefined || seen.size === 0) return distinct
    const named = distinct.flatMap((delivery) => delivery.received ?? [])
    const isNew = await received.store.insert(tx, named, received.clock.now())
    return distinct.filter((delivery) => delivery.received === undefined || isNew(delivery.received))
  }
}

/** Whether that is not too much for one message. */
export function fitsToDevice(content: JsonObject): boolean {
  return fitsBytes(JSON.stringify(content), MAX_CONTENT_BYTES)
}

function parseMessages(messages: JsonObject): ToDeviceMessages {
  const parsed = new Map<UserId, ReadonlyMap<string, JsonObject>>()
  let recipients = 0
  for (const [user, byDevice] of Object.entries(messages)) {
    const userId = parseUserId(user)
    if (userId === undefined) throw invalidParam(`Not a user ID: ${user.slice(0, 255)}`)
    if (!isJsonObject(byDevice)) throw badJson('The messages for a user are an object by device')
    const contents = new Map<string, JsonObject>()
    for (const [device, content] of Object.entries(byDevice)) {
      if (!isJsonObject(content)) throw badJson('The content of a message is an object')
      if (!fitsToDevice(content)) throw tooLarge('The content of a message is too large')
      contents.set(device, content)
    }
    recipients += contents.size
    if (recipients > MAX_RECIPIENTS) {
      throw invalidParam(`A request may name ${MAX_RECIPIENTS} devices`)
    }
    parsed.set(userId, contents)
  }
  return parsed
}
