import type { Database } from '../../../storage/database.js'
import type { StoredEvent } from '../../../storage/stores/events.js'
import type { RoomId } from '../../../protocol/ids.js'
import { STICKY_FIELD } from '../../../protocol/sticky-events.js'
import type { JsonObject } from '../../../util/json.js'
import { totalUnread, type RoomUnreadCounts, type UnreadCounts } from '../../events/unread-counts.js'
import { emptyContent, type RoomContent, type RoomContents, type RoomSpec } from '../room-contents.js'
import { summaryJson, type RoomSummaries, type RoomSummary } from '../room-summaries.js'
import type { SyncFrame } from '../sync-frame.js'
import type { UserRoom } from '../user-rooms.js'
import type { StickyEventsSection } from './sticky-events.js'

interface Parts {
  readonly contents: RoomContents
  readonly summaries: RoomSummaries
  readonly unread: Pick<UnreadCounts, 'forRooms'>
  /** Where it is switched on. */
  readonly sticky?: StickyEventsSection | undefined
}

/** What other sections say about rooms. */
export interface RoomExtras {
  readonly ephemeral: ReadonlyMap<RoomId, JsonObject[]>
  readonly accountData: ReadonlyMap<RoomId, JsonObject[]>
}

/** Rooms, and what was read of them, by nid. */
interface ReadRooms {
  readonly rooms: readonly UserRoom[]
  readonly summaries: ReadonlyMap<number, RoomSummary>
  readonly contents: ReadonlyMap<number, RoomContent>
}

/**
 * Rooms that are read and written together. Where there are more, the database reads for some while others are written,
 * and whoever else waits for the server gets a turn in between.
 */
const ROOMS_AT_ONCE = 125
type ShownExtras = RoomExtras & { readonly sticky: ReadonlyMap<number, JsonObject[]> | undefined }

const NOTHING_UNREAD: RoomUnreadCounts = { notifications: 0, highlights: 0, threads: new Map() }

/** The rooms that the user is in. https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3sync */
export class JoinedRoomsSection {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** By room ID; rooms of which there is nothing new to tell are left out. */
  async load(frame: SyncFrame, extras: RoomExtras): Promise<JsonObject> {
    const candidates = roomsToRead(frame)
    const isRead = new Set(candidates.map(({ room }) => room.roomNid))
    const others = [...frame.joined.values()].filter(({ room }) => !isRead.has(room.roomNid))
    const parts = inParts(candidates).map((rooms) => this.#read(frame, rooms))
    const sticky = await this.#parts.sticky?.load(frame, timelinesOf(await Promise.all(parts)))
    const shown = await Promise.all(
      [...parts, { rooms: others, summaries: new Map(), contents: new Map() }].map(async (part) =>
        this.#show(frame, { ...extras, sticky }, await part),
      ),
    )
    return Object.assign({}, ...shown) as JsonObject
  }

  async #read(frame: SyncFrame, rooms: readonly UserRoom[]): Promise<ReadRooms> {
    const summaries = await this.#summaries(frame, rooms)
    const specs = rooms.map((room) => specOf(frame, room, summaries.get(room.room.roomNid)))
    return { rooms, summaries, contents: await this.#parts.contents.load(frame, specs) }
  }

  /** Writes those of the rooms of which there is something to tell. */
  async #show(
    frame: SyncFrame,
    extras: ShownExtras,
    { rooms, summaries, contents }: ReadRooms,
  ): Promise<JsonObject> {
    const { userId } = frame.request.viewer
    const shown = shownOf(frame, extras, { rooms, contents })
    if (shown.size === 0) return {}
    const [written, unread] = await Promise.all([
      this.#parts.contents.serialize(frame, shown),
      this.#db.read('sync_unread_counts', (q) =>
        this.#parts.unread.forRooms(q, userId, [...shown.keys()], { ignored: frame.ignored }),
      ),
    ])
    const json: JsonObject = {}
    for (const roomNid of shown.keys()) {
      const roomId = frame.joined.get(roomNid)!.room.roomId
      const summary = summaries.get(roomNid)
      const stuck = extras.sticky?.get(roomNid)
      json[roomId] = {
        ...written.get(roomNid),
        account_data: { events: extras.accountData.get(roomId) ?? [] },
        ephemeral: { events: extras.ephemeral.get(roomId) ?? [] },
        ...unreadJson(frame, unread.get(roomNid) ?? NOTHING_UNREAD),
        summary: summary ? summaryJson(summary) : {},
        ...(stuck && { [STICKY_FIELD]: { events: stuck } }),
      }
    }
    return json
  }

  /** Of rooms that are shown as a whole, and of those whose members or name have changed. */
  async #summaries(frame: SyncFrame, candidates: readonly UserRoom[]): Promise<Map<number, RoomSummary>> {
    const changed = frame.tail && roomsWithSummaryChanges(frame.tail.deltas)
    const nids = candidates
      .map(({ room }) => room.roomNid)
      .filter((roomNid) => isWhole(frame, roomNid) || (changed?.has(roomNid) ?? true))
    if (nids.length === 0) return new Map()
    return this.#db.read('sync_summaries', (q) =>
      this.#parts.summaries.load(q, frame.request.viewer.userId, nids),
    )
  }
}

function inParts(rooms: readonly UserRoom[]): UserRoom[][] {
  const parts: UserRoom[][] = []
  for (let start = 0; start < rooms.length; start += ROOMS_AT_ONCE) {
    parts.push(rooms.slice(start, start + ROOMS_AT_ONCE))
  }
  return parts
}

/** Those of which there is something to tell. */
function shownOf(
  frame: SyncFrame,
  { ephemeral, accountData, sticky }: ShownExtras,
  { rooms, contents }: Pick<ReadRooms, 'rooms' | 'contents'>,
): Map<number, RoomContent> {
  const shown = new Map<number, RoomContent>()
  for (const { room } of rooms) {
    const { roomId, roomNid } = room
    const content = contents.get(roomNid)
    const hasExtras = ephemeral.has(roomId) || accountData.has(roomId) || sticky?.has(roomNid)
    if (hasExtras || isWhole(frame, roomNid) || (content && hasNews(content))) {
      shown.set(roomNid, finish(frame, roomNid, content ?? emptyContent(frame.now.events)))
    }
  }
  return shown
}

function timelinesOf(parts: readonly ReadRooms[]): Map<number, readonly StoredEvent[]> {
  return new Map(
    parts.flatMap(({ contents }) =>
      [...contents].map(([nid, { timeline }]) => [nid, timeline.events] as const),
    ),
  )
}

/** Where something may have happened: without the end of the stream in memory, that is everywhere. */
function roomsToRead(frame: SyncFrame): UserRoom[] {
  const { joined, tail, since, now } = frame
  const rooms = [...joined.values()]
  const moved = since === undefined || since.events < now.events
  if (tail === undefined) return rooms.filter(({ room }) => moved || isWhole(frame, room.roomNid))
  if (frame.isFull) return rooms
  // A room may be new to the client though nothing has happened in it since: it was withheld before.
  const touched = new Set([...tail.events, ...tail.deltas].map(({ roomNid }) => roomNid))
  for (const roomNid of frame.newlyJoined) touched.add(roomNid)
  return [...touched].flatMap((roomNid) => joined.get(roomNid) ?? [])
}

function roomsWithSummaryChanges(
  deltas: readonly { readonly roomNid: number; readonly type: string }[],
): ReadonlySet<number> {
  const types = new Set(['m.room.member', 'm.room.name', 'm.room.canonical_alias'])
  return new Set(deltas.filter(({ type }) => types.has(type)).map(({ roomNid }) => roomNid))
}

function specOf(frame: SyncFrame, { room }: UserRoom, summary: RoomSummary | undefined): RoomSpec {
  const { since, now, newlyJoined } = frame
  return {
    room,
    after: newlyJoined.has(room.roomNid) ? undefined : since?.events,
    upTo: now.events,
    isMember: true,
    state: isWhole(frame, room.roomNid) ? 'current' : 'changes',
    heroes: summary?.heroes ?? [],
  }
}

/** Whether the client is told everything about a room. */
function isWhole({ isFull, newlyJoined }: SyncFrame, roomNid: number): boolean {
  return isFull || newlyJoined.has(roomNid)
}

function hasNews({ timeline, state }: RoomContent): boolean {
  return timeline.events.length > 0 || state.length > 0
}

/** Of a room that the user has just come to, the client knows nothing from before: there is always a gap. */
function finish({ newlyJoined }: SyncFrame, roomNid: number, content: RoomContent): RoomContent {
  if (!newlyJoined.has(roomNid)) return content
  return { ...content, timeline: { ...content.timeline, limited: true } }
}

/** https://spec.matrix.org/latest/client-server-api/#receiving-notifications */
function unreadJson({ request }: SyncFrame, counts: RoomUnreadCounts): JsonObject {
  const byThread = request.filter.room.timeline.unreadThreadNotifications
  const { notifications, highlights } = byThread ? counts : totalUnread(counts)
  const json: JsonObject = {
    unread_notifications: { notification_count: notifications, highlight_count: highlights },
  }
  if (byThread && counts.threads.size > 0) {
    json['unread_thread_notifications'] = Object.fromEntries(
      [...counts.threads].map(([root, thread]) => [
        root,
        { notification_count: thread.notifications, highlight_count: thread.highlights },
      ]),
    )
  }
  return json
}
