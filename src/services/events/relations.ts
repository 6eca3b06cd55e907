import type { Database } from '../../storage/database.js'
import type { AccountDataStore } from '../../storage/stores/account-data.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RelationParent, RelationsStore } from '../../storage/stores/relations.js'
import type { RoomStaysStore } from '../../storage/stores/room-stays.js'
import type { EventId, UserId } from '../../protocol/ids.js'
import { isJsonObject } from '../../util/json.js'
import type { EventVisibility } from './event-visibility.js'

/** For whom events are put together. */
export interface Reader {
  readonly userId: UserId
  /** Whom they ignore, where the caller knows. */
  readonly ignored?: ReadonlySet<UserId> | undefined
}

/** What is known of the events that relate to one. */
export interface Aggregations {
  /** The latest valid edit. */
  readonly replacement?: StoredEvent
  readonly thread?: {
    readonly latest: StoredEvent
    readonly count: number
    readonly participated: boolean
  }
  readonly references?: readonly EventId[]
}

interface KnownReader {
  readonly userId: UserId
  readonly ignored: ReadonlySet<UserId>
}

interface Parts {
  readonly relations: RelationsStore
  readonly stays: RoomStaysStore
  readonly accountData: AccountDataStore
  readonly visibility: EventVisibility
}

const AGGREGATED = ['m.replace', 'm.thread', 'm.reference']
/** How many of the latest are looked at: the very latest may be invalid or not for the reader to see. */
const CANDIDATES = 5

/**
 * Puts together what relates to events, for any number of them with a constant number of statements: one where, as on
 * most pages, nothing does. https://spec.matrix.org/latest/client-server-api/#aggregations-of-child-events
 */
export class EventAggregations {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async aggregate(reader: Reader, events: readonly StoredEvent[]): Promise<Map<EventId, Aggregations>> {
    const targets = events.filter(mayHaveAggregations)
    const parents = targets.map(toParent)
    if (parents.length === 0) return new Map()
    const related = await this.#parts.relations.listRelTypes(this.#db.reader, parents, AGGREGATED)
    if (related.size === 0) return new Map()
    const ignored = reader.ignored ?? (await this.listIgnored(reader.userId))
    const bounded = await this.#bound(reader.userId, parents)
    const only = (relType: string): RelationParent[] =>
      bounded.filter(({ eventId }) => related.get(relType)?.has(eventId))
    const [replacements, threads, references] = await Promise.all([
      this.#replacements({ userId: reader.userId, ignored }, only('m.replace'), targets),
      this.#threads({ userId: reader.userId, ignored }, only('m.thread'), targets),
      this.#references(only('m.reference'), ignored),
    ])
    return new Map(
      targets.map(({ event: { eventId } }) => [
        eventId,
        {
          ...definedAs('replacement', replacements.get(eventId)),
          ...definedAs('thread', threads.get(eventId)),
          ...definedAs('references', references.get(eventId)),
        },
      ]),
    )
  }

  /** Whom a user ignores. */
  listIgnored(userId: UserId): Promise<ReadonlySet<UserId>> {
    return this.#parts.accountData.getIgnoredUsers(this.#db.reader, userId)
  }

  /** Those who have left a room learn nothing of what came after. */
  async #bound(userId: UserId, parents: readonly RelationParent[]): Promise<RelationParent[]> {
    const rooms = [...new Set(parents.map(({ roomNid }) => roomNid))]
    const stays = await this.#parts.stays.listLast(this.#db.reader, userId, rooms)
    return parents.map((parent) => {
      const end = stays.get(parent.roomNid)?.end
      return end ? { ...parent, ceiling: end.streamOrdering } : parent
    })
  }

  /** https://spec.matrix.org/latest/client-server-api/#server-side-aggregation-of-mreplace-relationships */
  async #replacements(
    { userId, ignored }: KnownReader,
    parents: readonly RelationParent[],
    targets: readonly StoredEvent[],
  ): Promise<Map<EventId, StoredEvent>> {
    const editable = new Set(targets.filter(mayBeReplaced).map(({ event }) => event.eventId))
    const wanted = parents.filter(({ eventId }) => editable.has(eventId))
    if (wanted.length === 0) return new Map()
    const edits = await this.#parts.relations.listReplacements(this.#db.reader, wanted, CANDIDATES)
    const readable = await this.#parts.visibility.filter(userId, edits.filter(isReplacement), { ignored })
    return firstOfEach(readable)
  }

  /** https://spec.matrix.org/latest/client-server-api/#server-side-aggregation-of-mthread-relationships */
  async #threads(
    reader: KnownReader,
    parents: readonly RelationParent[],
    targets: readonly StoredEvent[],
  ): Promise<Map<EventId, NonNullable<Aggregations['thread']>>> {
    // What relates to another event cannot be a root, so that a thread's latest event never has a thread of its own.
    const rootable = new Set(
      targets.filter(({ relType }) => relType === null).map(({ event }) => event.eventId),
    )
    const roots = parents.filter(({ eventId }) => rootable.has(eventId))
    if (roots.length === 0) return new Map()
    const q = this.#db.reader
    const { relations, visibility } = this.#parts
    const [summaries, replies] = await Promise.all([
      relations.summarizeThreads(q, roots, reader),
      relations.listLatestReplies(q, roots, reader.ignored, CANDIDATES),
    ])
    const latest = firstOfEach(await visibility.filter(reader.userId, replies))
    const rootSenders = new Map(targets.map(({ event }) => [event.eventId, event.sender]))
    const threads = new Map<EventId, NonNullable<Aggregations['thread']>>()
    for (const [rootId, { count, participated }] of summaries) {
      const reply = latest.get(rootId)
      if (!reply) continue
      const isOwn = rootSenders.get(rootId) === reader.userId
      threads.set(rootId, { latest: reply, count, participated: participated || isOwn })
    }
    return threads
  }

  async #references(
    parents: readonly RelationParent[],
    ignored: ReadonlySet<UserId>,
  ): Promise<Map<EventId, EventId[]>> {
    if (parents.length === 0) return new Map()
    return this.#parts.relations.listReferences(this.#db.reader, parents, ignored)
  }
}

/** Edits and reactions are nothing that others relate to in these ways. */
function mayHaveAggregations({ relType }: StoredEvent): boolean {
  return relType !== 'm.replace' && relType !== 'm.annotation'
}

function toParent({ event, roomNid }: StoredEvent): RelationParent {
  return { eventId: event.eventId, roomNid, ceiling: Number.MAX_SAFE_INTEGER }
}

/** What was redacted stays so, and state is changed by sending it anew. */
function mayBeReplaced({ event, redactedBy }: StoredEvent): boolean {
  return redactedBy === null && !event.isState()
}

/** Encrypted events have their new content inside. */
function isReplacement({ event }: StoredEvent): boolean {
  return event.type === 'm.room.encrypted' || isJsonObject(event.content['m.new_content'])
}

/** Of the children of each parent the first. */
function firstOfEach(children: readonly StoredEvent[]): Map<EventId, StoredEvent> {
  const first = new Map<EventId, StoredEvent>()
  for (const child of children) {
    if (child.relatesTo !== null && !first.has(child.relatesTo)) first.set(child.relatesTo, child)
  }
  return first
}

function definedAs<K extends keyof Aggregations>(name: K, value: Aggregations[K]): Pick<Aggregations, K> {
  return (value === undefined ? {} : { [name]: value }) as Pick<Aggregations, K>
}
