import { fitsBytes, parseUserId, serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { fitsToDevice, type ToDevice, type ToDeviceMessages } from './to-device.js'

interface Dependencies {
  readonly toDevice: Pick<ToDevice, 'deliver'>
  readonly serverName: ServerName
}

const MAX_TYPE_BYTES = 255
/** The specification says 32 characters; some servers' are longer. */
const MAX_MESSAGE_ID_LENGTH = 255
const MAX_RECIPIENTS = 10_000

/** Messages to our users' devices from other servers. */
export class RemoteToDevice {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /**
   * Takes in `m.direct_to_device`: each message once. One whose sender is not of `origin` is left alone, and one that is
   * too large.
   * https://spec.matrix.org/latest/server-server-api/#send-to-device-messaging
   */
  async onDirectToDevice(origin: ServerName, content: JsonObject): Promise<void> {
    const { sender: user, type, message_id: messageId, messages } = content
    if (typeof user !== 'string' || !isText(type, MAX_TYPE_BYTES) || !isJsonObject(messages)) return
    const sender = parseUserId(user)
    if (sender === undefined || serverNameOf(sender) !== origin) return
    if (!isText(messageId, MAX_MESSAGE_ID_LENGTH)) return
    const received = { origin, messageId }
    await this.#deps.toDevice.deliver(sender, type, this.#parse(messages), received)
  }

  #parse(messages: JsonObject): ToDeviceMessages {
    const parsed = new Map<UserId, ReadonlyMap<string, JsonObject>>()
    let recipients = 0
    for (const [user, byDevice] of Object.entries(messages)) {
      const userId = parseUserId(user)
      if (userId === undefined || serverNameOf(userId) !== this.#deps.serverName) continue
      if (!isJsonObject(byDevice)) continue
      const contents = Object.entries(byDevice).flatMap(([device, content]) =>
        isJsonObject(content) && fitsToDevice(content) ? [[device, content] as const] : [],
      )
      recipients += contents.length
      if (recipients > MAX_RECIPIENTS) break
      parsed.set(userId, new Map(contents))
    }
    return parsed
  }
}

function isText(value: unknown, maxBytes: number): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    fitsBytes(value, maxBytes) &&
    value.isWellFormed() &&
    !value.includes('\u0000')
  )
}
