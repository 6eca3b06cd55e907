import { MatrixError } from '../../protocol/errors.js'
import { searchableText } from '../../protocol/searchable-text.js'
import type { EventFilter } from '../../protocol/event-filter.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type {
  EventSearchQuery,
  EventSearchStore,
  SearchHit,
  SearchOrder,
} from '../../storage/stores/event-search.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { JsonObject, JsonValue } from '../../util/json.js'
import { parseSearchTerm, spellingsIn } from '../../util/words.js'
import { groupBy } from '../../util/group-by.js'
import type { EventReader } from '../events/client-events.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { EventAggregations } from '../events/relations.js'
import type { RoomStateViews } from './room-state-views.js'
import type { ContextWish, SearchContexts } from './search-contexts.js'
import type { SearchIndex } from './search-index.js'
import { formatSearchToken, parseSearchToken, type GroupKey, type SearchToken } from './search-token.js'
import type { SearchedRooms } from './searched-rooms.js'

/** What somebody looks for. */
export interface SearchRequest {
  readonly term: string
  /** The types of events that are looked at. */
  readonly types: readonly string[]
  readonly filter: EventFilter
  readonly order: SearchOrder['by']
  readonly context: ContextWish | undefined
  readonly includeState: boolean
  readonly groupBy: readonly GroupKey[]
  readonly nextBatch: string | undefined
}

export interface EventSearchDependencies {
  readonly db: Database
  readonly eventSearch: EventSearchStore
  readonly events: EventsStore
  /** Undefined where `enable_search` is false. */
  readonly index: SearchIndex | undefined
  readonly searchedRooms: SearchedRooms
  readonly visibility: EventVisibility
  readonly aggregations: Pick<EventAggregations, 'listIgnored'>
  readonly contexts: SearchContexts
  readonly stateViews: Pick<RoomStateViews, 'list'>
}

/** A result, and where the search would go on after it. */
interface Found {
  readonly stored: StoredEvent
  readonly rank: number
  readonly after: SearchOrder
}

interface Page {
  readonly found: readonly Found[]
  /** Undefined when there is nothing more. */
  readonly next: SearchOrder | undefined
}

const DEFAULT_LIMIT = 10
const MAX_LIMIT = 100
/** How often the database is asked again when much of what it finds is not for this reader. */
const MAX_ROUNDS = 8
const MAX_BATCH = 500
/** More are not counted. */
const MAX_COUNT = 10_000

/** Finds events by their words. https://spec.matrix.org/latest/client-server-api/#server-side-search */
export class EventSearch {
  readonly #deps: EventSearchDependencies

  constructor(deps: EventSearchDependencies) {
    this.#deps = deps
  }

  /**
   * The `room_events` of the answer. Throws `M_INVALID_PARAM` for tokens that are none, 400 `M_UNKNOWN` where search is
   * switched off.
   */
  async search(reader: EventReader, request: SearchRequest): Promise<JsonObject> {
    const { index, aggregations } = this.#deps
    if (index === undefined)
      throw new MatrixError('M_UNKNOWN', 'Search is disabled on this homeserver', { status: 400 })
    const token: SearchToken =
      request.nextBatch === undefined
        ? { group: undefined, order: firstOf(request.order) }
        : parseSearchToken(request.nextBatch, request.order)
    const { phrases, highlights } = parseSearchTerm(request.term)
    const query =
      phrases.length === 0 ? undefined : await this.#toQuery(reader.userId, request, { phrases, token })
    if (query === undefined)
      return { count: 0, highlights: [...highlights], results: [], ...emptyParts(request) }
    await index.catchUp()
    const ignored = await aggregations.listIgnored(reader.userId)
    const knowing = { ...reader, ignored }
    const [count, page] = await Promise.all([
      this.#deps.eventSearch.count(this.#deps.db.reader, query, MAX_COUNT),
      this.#collect(knowing, { query, filter: request.filter, order: token.order }),
    ])
    const [described, state] = await Promise.all([
      this.#deps.contexts.describe(
        knowing,
        page.found.map(({ stored }) => stored),
        request.context,
      ),
      request.includeState ? this.#readState(reader, page.found) : undefined,
    ])
    return {
      count,
      highlights: [...highlights, ...spellingsOf(highlights, page.found)],
      results: described.map((result, place) => ({ rank: page.found[place]!.rank, ...result })),
      ...(page.next && { next_batch: formatSearchToken({ group: token.group, order: page.next }) }),
      ...(request.groupBy.length > 0 && { groups: groupsOf(request.groupBy, page) }),
      ...(state && { state }),
    }
  }

  /** Undefined when nothing can be found. */
  async #toQuery(
    userId: UserId,
    { filter, types }: SearchRequest,
    { phrases, token: { group } }: { phrases: EventSearchQuery['phrases']; token: SearchToken },
  ): Promise<EventSearchQuery | undefined> {
    const allowed = types.filter((type) => filter.allowsType(type))
    if (filter.passesNothing || allowed.length === 0) return undefined
    if (group?.key === 'sender' && !filter.allowsSender(group.value)) return undefined
    const rooms = await this.#deps.searchedRooms.list(userId, filter)
    const chosen = group?.key === 'room_id' ? rooms.filter(({ roomId }) => roomId === group.value) : rooms
    if (chosen.length === 0) return undefined
    return {
      phrases,
      roomNids: chosen.map(({ roomNid }) => roomNid),
      types: allowed,
      senders: group?.key === 'sender' ? [group.value] : filter.senders && [...filter.senders],
      notSenders: [...filter.notSenders],
      containsUrl: filter.containsUrl,
    }
  }

  /** The next results that the reader may see and the filter lets through. */
  async #collect(
    reader: { readonly userId: UserId; readonly ignored: ReadonlySet<UserId> },
    { query, filter, order }: { query: EventSearchQuery; filter: EventFilter; order: SearchOrder },
  ): Promise<Page> {
    const { db, eventSearch } = this.#deps
    const limit = Math.min(filter.limit ?? DEFAULT_LIMIT, MAX_LIMIT)
    if (limit === 0) return { found: [], next: undefined }
    const found: Found[] = []
    let next = order
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const size = Math.min(MAX_BATCH, (limit - found.length) * 2 ** round)
      const hits = await eventSearch.find(db.reader, query, next, size)
      for (const result of await this.#readable(reader, hits, { filter, order: next })) {
        found.push(result)
        // Whoever gets a full page asks for the next one, and may find it empty.
        if (found.length === limit) return { found, next: result.after }
      }
      const last = hits.at(-1)
      if (last === undefined || hits.length < size) return { found, next: undefined }
      next = afterHit(next, last, hits.length)
    }
    return { found, next }
  }

  async #readable(
    { userId, ignored }: { readonly userId: UserId; readonly ignored: ReadonlySet<UserId> },
    hits: readonly SearchHit[],
    { filter, order }: { filter: EventFilter; order: SearchOrder },
  ): Promise<Found[]> {
    const { db, events, visibility } = this.#deps
    const stored = await events.getByNids(
      db.reader,
      hits.map(({ eventNid }) => eventNid),
    )
    // The filter has chosen the rooms, and those that they replace with them.
    const passing = [...stored.values()].filter(({ event: { type, sender, content } }) =>
      filter.matches({ type, sender, content }),
    )
    const readable = new Set(await visibility.filter(userId, passing, { ignored }))
    return hits.flatMap((hit, place) => {
      const event = stored.get(hit.eventNid)
      if (event === undefined || !readable.has(event)) return []
      return [{ stored: event, rank: hit.rank, after: afterHit(order, hit, place + 1) }]
    })
  }

  async #readState(reader: EventReader, found: readonly Found[]): Promise<JsonObject> {
    const roomIds = [...new Set(found.map(({ stored }) => stored.event.roomId))]
    const entries = await Promise.all(
      roomIds.map(async (roomId): Promise<[RoomId, JsonValue]> => [
        roomId,
        await this.#deps.stateViews.list(reader, roomId),
      ]),
    )
    return Object.fromEntries(entries)
  }
}

/** For clients, which mark what stands in the text: "Héllo" where "hello" was looked for. */
function spellingsOf(highlights: readonly string[], found: readonly Found[]): Set<string> {
  const wanted = new Set(highlights)
  return new Set(
    found.flatMap(({ stored: { event } }) => spellingsIn(searchableText(event.type, event.content), wanted)),
  )
}

function firstOf(by: SearchOrder['by']): SearchOrder {
  return by === 'rank' ? { by, offset: 0 } : { by, before: undefined }
}

/** The place after a hit, which was the `count`-th from a place on. */
function afterHit(order: SearchOrder, hit: SearchHit, count: number): SearchOrder {
  return order.by === 'rank' ? { by: 'rank', offset: order.offset + count } : { by: 'recency', before: hit }
}

function emptyParts({ groupBy, includeState }: SearchRequest): JsonObject {
  return {
    ...(groupBy.length > 0 && { groups: Object.fromEntries(groupBy.map((key) => [key, {}])) }),
    ...(includeState && { state: {} }),
  }
}

/** Which results of a page belong together; the order of groups is that of their first results. */
function groupsOf(keys: readonly GroupKey[], { found, next }: Page): JsonObject {
  return Object.fromEntries(
    keys.map((key) => {
      const groups = groupBy(found, ({ stored: { event } }): string =>
        key === 'room_id' ? event.roomId : event.sender,
      )
      const described = [...groups].map(([value, results], order) => [
        value,
        {
          results: results.map(({ stored }) => stored.event.eventId),
          order,
          ...(next && {
            next_batch: formatSearchToken({ group: { key, value }, order: groupOrder(results) }),
          }),
        },
      ])
      return [key, Object.fromEntries(described)]
    }),
  )
}

/** Where a group goes on by itself: after its last result, or after as many as have been seen of it. */
function groupOrder(results: readonly Found[]): SearchOrder {
  const { after } = results.at(-1)!
  return after.by === 'rank' ? { by: 'rank', offset: results.length } : after
}
