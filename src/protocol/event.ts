import type { JsonObject, JsonValue } from '../util/json.js'
import type { EventId, RoomId, UserId } from './ids.js'
import type { RoomVersionRules } from './room-versions.js'

/** A persistent event as servers exchange it. https://spec.matrix.org/latest/rooms/v12/#event-format-1 */
export interface PduJson {
  type: string
  sender: string
  /** Absent in the create event of rooms of version 12. */
  room_id?: string
  state_key?: string
  content: JsonObject
  origin_server_ts: number
  depth: number
  /** Event IDs; pairs of ID and hashes in room versions 1 and 2. */
  prev_events: JsonValue[]
  auth_events: JsonValue[]
  hashes: { sha256: string }
  signatures: Record<string, Record<string, string>>
  unsigned?: JsonObject
  /** Top level up to room version 10. */
  redacts?: string
  /** Room versions 1 and 2 only. */
  event_id?: string
  [key: string]: unknown
}

/**
 * An event that has passed the format checks of its room version. Immutable: the JSON must not be changed after
 * construction. What only this server knows of an event (stream ordering, rejection, ...) is not here.
 */
export class Event {
  readonly rules: RoomVersionRules
  readonly json: Readonly<PduJson>
  /**
   * The event as canonical JSON where it has numbers that `json` had to round, which hashes and signatures do not
   * forgive. Only in room versions 1 to 5, and rarely there.
   */
  readonly exactText: string | undefined
  readonly eventId: EventId
  readonly roomId: RoomId
  readonly prevEventIds: readonly EventId[]
  /** As listed in the event: without the create event in room version 12. */
  readonly authEventIds: readonly EventId[]

  constructor(
    rules: RoomVersionRules,
    json: Readonly<PduJson>,
    ids: { eventId: EventId; roomId: RoomId; exactText?: string | undefined },
  ) {
    this.rules = rules
    this.json = json
    this.exactText = ids.exactText
    this.eventId = ids.eventId
    this.roomId = ids.roomId
    this.prevEventIds = referencedIds(json.prev_events)
    this.authEventIds = referencedIds(json.auth_events)
  }

  get type(): string {
    return this.json.type
  }
  get sender(): UserId {
    return this.json.sender as UserId
  }
  /** Undefined when this is not a state event; the empty string is a state key. */
  get stateKey(): string | undefined {
    return this.json.state_key
  }
  get content(): JsonObject {
    return this.json.content
  }
  /** At most 2^53 − 1, whatever the event says. */
  get depth(): number {
    return toSafeInteger(this.json.depth)
  }
  /** Within ±(2^53 − 1), whatever the event says. */
  get originServerTs(): number {
    return toSafeInteger(this.json.origin_server_ts)
  }
  isState(): boolean {
    return this.json.state_key !== undefined
  }
  /** The event that this redaction names, wherever the room version keeps it. */
  get redacts(): EventId | undefined {
    const target = this.rules.redactsInContent ? this.content['redacts'] : this.json.redacts
    return typeof target === 'string' ? (target as EventId) : undefined
  }

  /** The event as JSON text, to be stored and sent to servers. */
  toText(): string {
    return this.exactText ?? JSON.stringify(this.json)
  }
}

/** Room versions 1 to 5 allow more than databases and arithmetic do. */
function toSafeInteger(value: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER))
}

function referencedIds(references: readonly JsonValue[]): EventId[] {
  return references.map((reference) => (Array.isArray(reference) ? reference[0] : reference) as EventId)
}
