import type { Database } from '../../../storage/database.js'
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
    const { userId } = frame.request.viewer
    const candidates = roomsToRead(frame)
    const summaries = await this.#summaries(frame, candidates)
    const specs = candidates.map((room) => specOf(frame, room, summaries.get(room.room.roomNid)))
    const read =
      specs.length > 0 ? await this.#parts.contents.load(frame, specs) : new Map<number, RoomContent>()
    const timelines = new Map([...read].map(([roomNid, { timeline }]) => [roomNid, timeline.events]))
    const sticky = await this.#parts.sticky?.load(frame, timelines)
    const shown = new Map<number, RoomContent>()
    for (const [roomNid, { room }] of frame.joined) {
      const content = read.get(roomNid)
      const hasExtras =
        extras.ephemeral.has(room.roomId) || extras.accountData.has(room.roomId) || sticky?.has(roomNid)
      if (hasExtras || isWhole(frame, roomNid) || (content && hasNews(content))) {
        shown.set(roomNid, finish(frame, roomNid, content ?? emptyContent(frame.now.events)))
      }
    }
    if (shown.size === 0) return {}
    const [written, unread] = await Promise.all([
      this.#parts.contents.serialize(frame, shown),
      this.#db.read('sync_unread_counts', (q) =>
        this.#parts.unread.forRooms(q, userId, [...shown.keys()], { ignored: frame.ignored }),
      ),
    ])
    const rooms: JsonObject = {}
    for (const roomNid of shown.keys()) {
      const roomId = frame.joined.get(roomNid)!.room.roomId
      const summary = summaries.get(roomNid)
      const stuck = sticky?.get(roomNid)
      rooms[roomId] = {
        ...written.get(roomNid),
        account_data: { events: extras.accountData.get(roomId) ?? [] },
        ephemeral: { events: extras.ephemeral.get(roomId) ?? [] },
        ...unreadJson(frame, unread.get(roomNid) ?? NOTHING_UNREAD),
        summary: summary ? summaryJson(summary) : {},
        ...(stuck && { [STICKY_FIELD]: { events: stuck } }),
      }
    }
    return rooms
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
