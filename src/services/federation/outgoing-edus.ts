import type { RoomId, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'

/** Something that passes by, for one destination. Of what is about the same only the newest counts. */
export type OutgoingEdu =
  | { readonly kind: 'typing'; readonly roomId: RoomId; readonly userId: UserId; readonly typing: boolean }
  | OutgoingReceipt
  | { readonly kind: 'presence'; readonly userId: UserId; readonly content: JsonObject }

export interface OutgoingReceipt {
  readonly kind: 'receipt'
  readonly roomId: RoomId
  readonly userId: UserId
  readonly threadId: string | undefined
  readonly eventId: string
  readonly ts: number
  /** Its position in the stream of receipts. */
  readonly streamId: number
}

/** An EDU as it stands in a transaction. https://spec.matrix.org/latest/server-server-api/#edus */
export interface EduJson extends JsonObject {
  edu_type: string
  content: JsonObject
}

/** What an EDU is about. */
export function subjectOf(edu: OutgoingEdu): string {
  switch (edu.kind) {
    case 'typing':
      return `t\u0000${edu.roomId}\u0000${edu.userId}`
    case 'receipt':
      return `r\u0000${edu.roomId}\u0000${edu.userId}\u0000${edu.threadId ?? ''}`
    case 'presence':
      return `p\u0000${edu.userId}`
  }
}

/** Presences that one EDU holds. */
const MAX_PRESENCES = 50

/** The EDUs of a transaction, as few as hold it all: `max` at most, of which the first come first. */
export function toEdus(
  edus: readonly OutgoingEdu[],
  max: number,
): { readonly json: EduJson[]; readonly taken: OutgoingEdu[] } {
  const json: EduJson[] = []
  const taken: OutgoingEdu[] = []
  const open: OpenEdus = { receipts: undefined, presences: undefined }
  for (const edu of edus) {
    const added = addTo(open, edu) ?? (json.length < max ? begin(open, edu) : undefined)
    if (added === undefined) continue
    if (added !== 'merged') json.push(added)
    taken.push(edu)
  }
  return { json, taken }
}

/** EDUs of this transaction that more can be added to. */
interface OpenEdus {
  receipts: JsonObject | undefined
  presences: JsonObject[] | undefined
}

function addTo(open: OpenEdus, edu: OutgoingEdu): 'merged' | undefined {
  if (edu.kind === 'presence' && open.presences !== undefined && open.presences.length < MAX_PRESENCES) {
    open.presences.push({ ...edu.content, user_id: edu.userId })
    return 'merged'
  }
  if (edu.kind !== 'receipt' || open.receipts === undefined) return undefined
  const users = readsOf(open.receipts, edu.roomId)
  // There is room for one receipt of a user and room: one in another thread needs another EDU.
  if (Object.hasOwn(users, edu.userId)) return undefined
  users[edu.userId] = toReceipt(edu)
  return 'merged'
}

function begin(open: OpenEdus, edu: OutgoingEdu): EduJson {
  switch (edu.kind) {
    case 'typing':
      return {
        edu_type: 'm.typing',
        content: { room_id: edu.roomId, user_id: edu.userId, typing: edu.typing },
      }
    case 'receipt': {
      const content: JsonObject = {}
      readsOf(content, edu.roomId)[edu.userId] = toReceipt(edu)
      open.receipts = content
      return { edu_type: 'm.receipt', content }
    }
    case 'presence': {
      const push: JsonObject[] = [{ ...edu.content, user_id: edu.userId }]
      open.presences = push
      return { edu_type: 'm.presence', content: { push } }
    }
  }
}

function readsOf(content: JsonObject, roomId: RoomId): JsonObject {
  const ofRoom = (content[roomId] ?? {}) as JsonObject
  content[roomId] = ofRoom
  const users = (ofRoom['m.read'] ?? {}) as JsonObject
  ofRoom['m.read'] = users
  return users
}

function toReceipt({ ts, threadId, eventId }: OutgoingReceipt): JsonObject {
  return {
    data: threadId === undefined ? { ts } : { ts, thread_id: threadId },
    event_ids: [eventId],
  }
}
