import type { Database, Query } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { EventTxnsStore, SenderMarks } from '../../storage/stores/event-txns.js'
import { clientEventJson, type ClientEventFormat } from '../../protocol/client-event.js'
import type { DeviceId, EventId } from '../../protocol/ids.js'
import { stateKeyOf, type StateKey } from '../../protocol/state-map.js'
import { STICKY_TTL_FIELD, stickyUntil } from '../../protocol/sticky-events.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Aggregations, EventAggregations, Reader } from './relations.js'
import { membershipOf, type StateAtPoints, type StatePiece, type StatePoints } from './state-points.js'

/** To whom events are given, and through which device. */
export interface EventReader extends Reader {
  readonly deviceId?: DeviceId | undefined
}

export interface SerializeOptions {
  /** `client` unless said otherwise. */
  readonly format?: ClientEventFormat
  /**
   * `timeline`: with what they replace, the reader's membership at that time and what relates to them; `state`: without,
   * for lists of state, where that would cost much and tell nothing.
   */
  readonly purpose?: 'timeline' | 'state'
  /** Leaves out the reader's membership at each event. */
  readonly includeMembership?: boolean
  /** Leaves out what relates to the events. */
  readonly bundle?: boolean
}

interface Parts {
  readonly events: EventsStore
  readonly txns: EventTxnsStore
  readonly points: StatePoints
  readonly aggregations: EventAggregations
  readonly clock: Clock
}

type Related = ReadonlyMap<EventId, Aggregations>

/** What is told beside the events themselves, of all of them together. */
interface Facts {
  readonly now: number
  readonly format: ClientEventFormat
  readonly marks: ReadonlyMap<number, SenderMarks>
  readonly redactions: ReadonlyMap<EventId, StoredEvent>
  readonly points: StateAtPoints
  /** Undefined: the reader's membership is not told. */
  readonly memberKey: StateKey | undefined
  readonly tellsPrevious: boolean
  readonly related: Related
}

const NOTHING: Related = new Map()
const NO_MARKS: SenderMarks = { txnId: undefined, delayId: undefined }

/**
 * Writes events for clients, with what this server adds under `unsigned`. Says nothing about who may see them, but for
 * what is added. Takes a constant number of statements for any number of events.
 */
export class ClientEvents {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** The events in the order given. */
  async serialize(
    reader: EventReader,
    events: readonly StoredEvent[],
    options: SerializeOptions = {},
  ): Promise<JsonObject[]> {
    if (events.length === 0) return []
    const q = this.#db.reader
    const isTimeline = options.purpose !== 'state'
    const related = isTimeline && options.bundle !== false ? await this.#aggregate(reader, events) : NOTHING
    const all = [...events, ...bundledEvents(related)]
    const memberKey =
      isTimeline && options.includeMembership !== false
        ? stateKeyOf('m.room.member', reader.userId)
        : undefined
    const [marks, redactions, points] = await Promise.all([
      this.#marks(q, reader, all),
      this.#redactions(q, all),
      this.#parts.points.lookUp(q, piecesOf(all, { memberKey, tellsPrevious: isTimeline })),
    ])
    const facts: Facts = {
      now: this.#parts.clock.now(),
      format: options.format ?? 'client',
      marks,
      redactions,
      points,
      memberKey,
      tellsPrevious: isTimeline,
      related,
    }
    return events.map((stored) => toJson(stored, facts))
  }

  /** One event. */
  async serializeOne(
    reader: EventReader,
    stored: StoredEvent,
    options: SerializeOptions = {},
  ): Promise<JsonObject> {
    const [json] = await this.serialize(reader, [stored], options)
    return json!
  }

  /** The events' own aggregations, and those of the latest events of threads. */
  async #aggregate(reader: Reader, events: readonly StoredEvent[]): Promise<Related> {
    const related = await this.#parts.aggregations.aggregate(reader, events)
    const latest = [...related.values()].flatMap(({ thread }) => thread?.latest ?? [])
    if (latest.length === 0) return related
    const ofLatest = await this.#parts.aggregations.aggregate(reader, latest)
    return new Map([...ofLatest, ...related])
  }

  async #marks(
    q: Query,
    reader: EventReader,
    events: readonly StoredEvent[],
  ): Promise<Map<number, SenderMarks>> {
    const { userId, deviceId } = reader
    if (deviceId === undefined) return new Map()
    const own = events.filter(({ event }) => event.sender === userId).map(({ eventNid }) => eventNid)
    if (own.length === 0) return new Map()
    return this.#parts.txns.getMarks(q, { userId, deviceId }, own)
  }

  async #redactions(q: Query, events: readonly StoredEvent[]): Promise<Map<EventId, StoredEvent>> {
    const ids = new Set(events.flatMap(({ redactedBy }) => redactedBy ?? []))
    return ids.size === 0 ? new Map() : this.#parts.events.getByIds(q, [...ids])
  }
}

/** Events that are shown inside others. */
function bundledEvents(related: Related): StoredEvent[] {
  return [...related.values()].flatMap(({ replacement, thread }) => [
    ...(replacement ? [replacement] : []),
    ...(thread ? [thread.latest] : []),
  ])
}

function piecesOf(
  events: readonly StoredEvent[],
  { memberKey, tellsPrevious }: { memberKey: StateKey | undefined; tellsPrevious: boolean },
): StatePiece[] {
  const pieces: StatePiece[] = []
  for (const { event, stateBefore, stateAfter } of events) {
    if (memberKey !== undefined && stateAfter !== null)
      pieces.push({ snapshotNid: stateAfter, key: memberKey })
    if (tellsPrevious && event.stateKey !== undefined && stateBefore !== null) {
      pieces.push({ snapshotNid: stateBefore, key: stateKeyOf(event.type, event.stateKey) })
    }
  }
  return pieces
}

function toJson(stored: StoredEvent, facts: Facts): JsonObject {
  const unsigned: JsonObject = { age: facts.now - stored.event.originServerTs }
  const ttlMs = (stickyUntil(stored.event, stored.receivedTs) ?? 0) - facts.now
  if (ttlMs > 0) unsigned[STICKY_TTL_FIELD] = ttlMs
  const { txnId, delayId } = facts.marks.get(stored.eventNid) ?? NO_MARKS
  if (txnId !== undefined) unsigned['transaction_id'] = txnId
  if (delayId !== undefined) unsigned['org.matrix.msc4140.delay_id'] = delayId
  if (facts.memberKey !== undefined && stored.stateAfter !== null) {
    const member = facts.points.get(stored.stateAfter, facts.memberKey)
    unsigned['membership'] = membershipOf(member) ?? 'leave'
  }
  if (facts.tellsPrevious) addPrevious(unsigned, stored, facts)
  if (stored.redactedBy !== null) addRedaction(unsigned, stored.redactedBy, facts)
  const aggregations = facts.related.get(stored.event.eventId)
  if (aggregations) addAggregations(unsigned, aggregations, facts)
  return clientEventJson(stored.event, unsigned, facts.format)
}

/** What a piece of state was before. */
function addPrevious(unsigned: JsonObject, { event, stateBefore }: StoredEvent, facts: Facts): void {
  if (event.stateKey === undefined || stateBefore === null) return
  const previous = facts.points.get(stateBefore, stateKeyOf(event.type, event.stateKey))?.event
  if (!previous || previous.eventId === event.eventId) return
  unsigned['replaces_state'] = previous.eventId
  unsigned['prev_content'] = previous.content
  unsigned['prev_sender'] = previous.sender
}

function addRedaction(unsigned: JsonObject, redactionId: EventId, facts: Facts): void {
  const redaction = facts.redactions.get(redactionId)
  if (!redaction) return
  const age = facts.now - redaction.event.originServerTs
  // Not in the specification, but where clients of old look for it.
  unsigned['redacted_by'] = redactionId
  unsigned['redacted_because'] = clientEventJson(redaction.event, { age }, facts.format)
}

function addAggregations(unsigned: JsonObject, aggregations: Aggregations, facts: Facts): void {
  const { replacement, thread, references } = aggregations
  const relations: JsonObject = {}
  if (replacement) relations['m.replace'] = toJson(replacement, facts)
  if (thread) {
    relations['m.thread'] = {
      latest_event: toJson(thread.latest, facts),
      count: thread.count,
      current_user_participated: thread.participated,
    }
  }
  if (references) {
    relations['m.reference'] = { chunk: references.map((eventId) => ({ event_id: eventId })) }
  }
  if (Object.keys(relations).length > 0) unsigned['m.relations'] = relations
}
