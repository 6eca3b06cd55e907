import { z } from 'zod'
import type { RequestInfo } from '../../http/route.js'
import type { HandedEvent } from '../../services/federation/resident-handshakes.js'
import type { JsonObject } from '../../util/json.js'

/** An event: what it has to have differs between room versions. */
export const pduBody = z.looseObject({})

/** Of the 64 KiB that an event may have, with room for escapes. */
export const MAX_PDU_BODY_BYTES = 512 * 1024

/** An event of a path and a body, its numbers as they were written. */
export function toHandedEvent(
  { roomId, eventId }: Pick<HandedEvent, 'roomId' | 'eventId'>,
  body: z.output<typeof pduBody>,
  request: Pick<RequestInfo, 'rawBody'>,
): HandedEvent {
  return { roomId, eventId, pdu: request.rawBody ?? (body as JsonObject) }
}
