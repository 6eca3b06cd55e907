import { MatrixError } from '../../protocol/errors.js'
import type { Event, PduJson } from '../../protocol/event.js'
import { parseEvent, type FormatOptions } from '../../protocol/event-format.js'
import { eventIdOf, hasValidContentHash } from '../../protocol/hashes.js'
import type { EventId, RoomId } from '../../protocol/ids.js'
import { redactEvent } from '../../protocol/redaction.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { nextTurn } from '../../util/clock.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { Keyring } from '../remote/keyring.js'

/** The room that events are said to be of. */
export interface IntakeRoom {
  readonly roomId: RoomId
  readonly rules: RoomVersionRules
}

export interface Intake {
  /** Events that are what they say, in the order in which they were given, each once. */
  readonly events: readonly Event[]
  /** Why the others were refused, as far as they have IDs. */
  readonly refused: ReadonlyMap<EventId, string>
}

/** Events that are looked at before others get a turn. */
const EVENTS_PER_TURN = 50

/**
 * The first three checks on receipt, for whoever takes events from other servers: format and size, signatures, hashes.
 * https://spec.matrix.org/latest/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */
export class PduIntake {
  readonly #keyring: Pick<Keyring, 'verifyEvents'>

  constructor(keyring: Pick<Keyring, 'verifyEvents'>) {
    this.#keyring = keyring
  }

  /**
   * Looks at PDUs of one room. An event whose content hash is wrong is given in its redacted form. One bad event does
   * the others no harm.
   * @param pdus JSON objects; or the text of one where its numbers are not what `JSON.parse` makes of them
   */
  async check(room: IntakeRoom, pdus: readonly unknown[], options: FormatOptions = {}): Promise<Intake> {
    const refused = new Map<EventId, string>()
    const parsed = new Map<EventId, Event>()
    for (const [index, pdu] of pdus.entries()) {
      if (index > 0 && index % EVENTS_PER_TURN === 0) await nextTurn()
      const result = parsePdu(room, pdu, options)
      if ('event' in result) parsed.set(result.event.eventId, result.event)
      else if (result.eventId !== undefined) refused.set(result.eventId, result.reason)
    }
    const failures = await this.#keyring.verifyEvents(room.rules, [...parsed.values()])
    const events: Event[] = []
    for (const [index, event] of [...parsed.values()].entries()) {
      if (index > 0 && index % EVENTS_PER_TURN === 0) await nextTurn()
      const failure = failures.get(event.eventId)
      if (failure !== undefined) refused.set(event.eventId, failure)
      else events.push(hasValidContentHash(event) ? event : redactEvent(event))
    }
    return { events, refused }
  }
}

type Parsed = { readonly event: Event } | { readonly eventId: EventId | undefined; readonly reason: string }

function parsePdu({ rules, roomId }: IntakeRoom, pdu: unknown, options: FormatOptions): Parsed {
  if (typeof pdu !== 'string' && !isJsonObject(pdu)) {
    return { eventId: undefined, reason: 'An event is a JSON object' }
  }
  try {
    const event = parseEvent(rules, pdu, options)
    if (event.roomId === roomId) return { event }
    return { eventId: event.eventId, reason: 'The event is of another room' }
  } catch (error) {
    if (!(error instanceof MatrixError)) throw error
    return { eventId: nameOf(rules, pdu), reason: error.message }
  }
}

/** The ID of what is no event, so that its sender can be told about it. */
function nameOf(rules: RoomVersionRules, pdu: string | JsonObject): EventId | undefined {
  try {
    const json = typeof pdu === 'string' ? (JSON.parse(pdu) as unknown) : pdu
    const eventId: unknown = isJsonObject(json) ? eventIdOf(rules, json as PduJson) : undefined
    return typeof eventId === 'string' ? (eventId as EventId) : undefined
  } catch {
    return undefined
  }
}
