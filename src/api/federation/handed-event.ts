import { z } from 'zod'
import { badJson } from '../../protocol/errors.js'
import { parseEventId, type RoomId } from '../../protocol/ids.js'
import type { RequestInfo } from '../../http/route.js'
import type { HandedEvent } from '../../services/federation/resident-handshakes.js'
import type { JsonObject } from '../../util/json.js'

/** An event: what it has to have differs between room versions. */
export const pduBody = z.looseObject({})

/** Of the 64 KiB that an event may have, with room for escapes. */
export const MAX_PDU_BODY_BYTES = 512 * 1024

/** An event of a path and a body, its numbers as they were written. */
export function toHandedEvent(
  params: { readonly roomId: RoomId; readonly eventId: string },
  body: z.output<typeof pduBody>,
  request: Pick<RequestInfo, 'rawBody'>,
): HandedEvent {
  const eventId = parseEventId(params.eventId)
  if (eventId === undefined) throw badJson('The path has no event ID')
  return { roomId: params.roomId, eventId, pdu: request.rawBody ?? (body as JsonObject) }
}
