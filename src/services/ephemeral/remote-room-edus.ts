import {
  fitsBytes,
  MAX_ID_BYTES,
  parseRoomId,
  parseUserId,
  serverNameOf,
  type EventId,
  type RoomId,
  type ServerName,
} from '../../protocol/ids.js'
import type { Clock } from '../../util/clock.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { Receipts, RemoteReceipt } from './receipts.js'
import type { Typing } from './typing.js'

interface Dependencies {
  readonly clock: Clock
  readonly typing: Pick<Typing, 'receive'>
  readonly receipts: Pick<Receipts, 'receive'>
}

/** Receipts of one EDU; the others are left out. */
const MAX_RECEIPTS = 2_000

/** What other servers say of how their users follow rooms. Whether they may say anything there has been checked. */
export class RemoteRoomEdus {
  readonly #deps: Dependencies

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** https://spec.matrix.org/latest/server-server-api/#typing-notifications */
  async onTyping(origin: ServerName, content: JsonObject): Promise<void> {
    const { room_id: room, user_id: user, typing } = content
    if (typeof room !== 'string' || typeof user !== 'string' || typeof typing !== 'boolean') return
    const roomId = parseRoomId(room)
    const userId = parseUserId(user)
    if (roomId === undefined || userId === undefined || serverNameOf(userId) !== origin) return
    await this.#deps.typing.receive(roomId, userId, typing)
  }

  /** https://spec.matrix.org/latest/server-server-api/#receipts */
  async onReceipt(origin: ServerName, content: JsonObject): Promise<void> {
    const now = this.#deps.clock.now()
    const receipts = Object.entries(content).flatMap(([room, byType]) => {
      const roomId = parseRoomId(room)
      const reads = isJsonObject(byType) ? byType['m.read'] : undefined
      if (roomId === undefined || !isJsonObject(reads)) return []
      return Object.entries(reads).flatMap(([user, receipt]) =>
        parseReceipt(origin, { roomId, user, receipt, now }),
      )
    })
    if (receipts.length > 0) await this.#deps.receipts.receive(receipts.slice(0, MAX_RECEIPTS))
  }
}

function parseReceipt(
  origin: ServerName,
  said: { readonly roomId: RoomId; readonly user: string; readonly receipt: JsonValue; readonly now: number },
): RemoteReceipt[] {
  const { roomId, user, receipt, now } = said
  const userId = parseUserId(user)
  if (userId === undefined || serverNameOf(userId) !== origin || !isJsonObject(receipt)) return []
  const { event_ids: eventIds, data } = receipt
  // Only one is meant: a receipt is for everything up to it.
  const last = Array.isArray(eventIds) ? eventIds.at(-1) : undefined
  const eventId = isText(last, MAX_ID_BYTES) ? (last as EventId) : undefined
  const threadId = parseThreadId(isJsonObject(data) ? data['thread_id'] : undefined)
  if (eventId === undefined || threadId === null) return []
  const ts = isJsonObject(data) ? data['ts'] : undefined
  return [{ roomId, userId, eventId, threadId, ts: isTs(ts) ? ts : now }]
}

/** Null for what cannot be a thread. */
function parseThreadId(value: JsonValue | undefined): string | undefined | null {
  if (value === undefined) return undefined
  return isText(value, MAX_ID_BYTES) ? value : null
}

/** Events of receipts need not be known, nor have an ID of the usual form. */
function isText(value: JsonValue | undefined, maxBytes: number): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    fitsBytes(value, maxBytes) &&
    value.isWellFormed() &&
    !value.includes('\u0000')
  )
}

function isTs(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
