import { parseRoomId, type RoomId, type ServerName } from '../../protocol/ids.js'
import type { Logger } from '../../telemetry/logger.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { ServerAcls } from './server-acls.js'

/** Takes what another server says of its users. The content is whatever that server has sent. */
export type EduHandler = (origin: ServerName, content: JsonObject) => Promise<void>

interface Parts {
  readonly acls: Pick<ServerAcls, 'isAllowed'>
  readonly logger: Logger
}

/**
 * Hands EDUs to whom they concern. What a room does not let a server say is taken out before.
 * https://spec.matrix.org/latest/server-server-api/#edus
 */
export class EduDispatcher {
  readonly #parts: Parts
  readonly #handlers = new Map<string, EduHandler>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Names who takes EDUs of a type. */
  on(type: string, handler: EduHandler): void {
    if (this.#handlers.has(type)) throw new Error(`Two handlers take ${type}`)
    this.#handlers.set(type, handler)
  }

  /** Hands the EDUs of a transaction on, in order. What fails is logged and does the others no harm. */
  async dispatch(origin: ServerName, edus: readonly unknown[]): Promise<void> {
    for (const edu of edus) {
      if (!isJsonObject(edu)) continue
      const { edu_type: type, content } = edu
      const handler = typeof type === 'string' ? this.#handlers.get(type) : undefined
      if (typeof type !== 'string' || handler === undefined || !isJsonObject(content)) continue
      try {
        const allowed = await this.#allowedPart(origin, type, content)
        if (allowed !== undefined) await handler(origin, allowed)
      } catch (err) {
        this.#parts.logger.warn({ err, origin, type }, 'An EDU could not be taken in')
      }
    }
  }

  /** https://spec.matrix.org/latest/server-server-api/#server-access-control-lists-acls */
  async #allowedPart(origin: ServerName, type: string, content: JsonObject): Promise<JsonObject | undefined> {
    if (type === 'm.typing') {
      return (await this.#isAllowedIn(origin, content['room_id'])) ? content : undefined
    }
    if (type !== 'm.receipt') return content
    const allowed: JsonObject = {}
    for (const [roomId, receipts] of Object.entries(content)) {
      if (await this.#isAllowedIn(origin, roomId)) allowed[roomId] = receipts
    }
    return allowed
  }

  async #isAllowedIn(origin: ServerName, roomId: unknown): Promise<boolean> {
    const parsed: RoomId | undefined = typeof roomId === 'string' ? parseRoomId(roomId) : undefined
    return parsed !== undefined && this.#parts.acls.isAllowed(parsed, origin)
  }
}
