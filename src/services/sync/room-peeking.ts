import { inFirstForm } from '../../protocol/first-event-form.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import { formatStreamToken, type StreamToken } from '../../protocol/stream-token.js'
import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomTimelineStore } from '../../storage/stores/room-timeline.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Presence } from '../ephemeral/presence.js'
import type { Receipts } from '../ephemeral/receipts.js'
import type { Typing } from '../ephemeral/typing.js'
import type { ClientEvents, EventReader } from '../events/client-events.js'
import type { EventVisibility } from '../events/event-visibility.js'
import type { EventAggregations } from '../events/relations.js'
import type { RoomAccess, RoomView } from '../events/room-access.js'
import type { RoomState } from '../events/room-state.js'
import type { Notifier } from '../streams/notifier.js'
import type { RoomWatches } from './room-watches.js'

interface Parts {
  readonly access: RoomAccess
  readonly visibility: EventVisibility
  readonly aggregations: Pick<EventAggregations, 'listIgnored'>
  readonly clientEvents: ClientEvents
  readonly timeline: RoomTimelineStore
  readonly members: Pick<RoomMembersStore, 'getMany'>
  readonly roomState: Pick<RoomState, 'getStateEvent'>
  readonly presence: Pick<Presence, 'changedUsers' | 'listStates'>
  readonly receipts: Pick<Receipts, 'listForRooms'>
  readonly typing: Pick<Typing, 'changedRooms' | 'usersTyping'>
  readonly notifier: Pick<Notifier, 'currentToken'>
  readonly watches: RoomWatches
  readonly clock: Clock
}

/** What somebody who looks into a room is shown in one answer. */
interface Page {
  readonly events: readonly StoredEvent[]
  /** Who types, how far people have read, and who has come and gone. */
  readonly passing: readonly JsonObject[]
  readonly end: StreamToken
}

const MAX_EVENTS = 100
const MAX_TIMEOUT_MS = 10 * 60_000

/**
 * Follows a room without being in it, where its history is world-readable. Members may do so too.
 * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3events
 */
export class RoomPeeking {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /**
   * The body of the answer to `/events` with a room: as soon as something has happened there, or the time is over. 403
   * `M_FORBIDDEN` for rooms that the reader may not look into.
   */
  async follow(
    reader: EventReader,
    wish: { readonly roomId: RoomId; readonly from: StreamToken | undefined; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const { clock, notifier, watches } = this.#parts
    const deadline = clock.now() + Math.min(wish.timeoutMs, MAX_TIMEOUT_MS)
    const watch = watches.open(wish.roomId)
    try {
      const start = wish.from ?? notifier.currentToken()
      for (let from = start; ;) {
        const page = await this.#read(reader, wish.roomId, from)
        const isNews = page.events.length > 0 || page.passing.length > 0
        if (isNews || !(await watch.wait(deadline - clock.now(), signal))) {
          return await this.#answer(reader, { ...page, start })
        }
        from = page.end
      }
    } finally {
      watch.close()
    }
  }

  async #read({ userId }: { userId: UserId }, roomId: RoomId, from: StreamToken): Promise<Page> {
    const { access, aggregations, notifier, timeline, visibility } = this.#parts
    const now = notifier.currentToken()
    const view = await access.requireView(userId, roomId)
    const upTo = Math.min(now.events, view.ceiling)
    const range = { after: from.events, upTo }
    const found = await timeline.listStream(this.#db.reader, view.room.roomNid, range, MAX_EVENTS)
    const ignored = await aggregations.listIgnored(userId)
    const events = await visibility.filter(userId, found, { ignored })
    const last = found.length < MAX_EVENTS ? now.events : (found.at(-1)?.streamOrdering ?? now.events)
    const isOfNow = view.membership === undefined || view.membership === 'join'
    const passing = isOfNow ? await this.#passing(userId, view, { from, now }) : []
    return { events, passing, end: { ...now, events: Math.max(last, from.events) } }
  }

  /** What has passed by since. Without a query where nothing has. */
  async #passing(
    userId: UserId,
    { room }: RoomView,
    { from, now }: { from: StreamToken; now: StreamToken },
  ): Promise<JsonObject[]> {
    const { typing, receipts } = this.#parts
    const isTypingNews = typing.changedRooms(from.typing, now.typing).has(room.roomId)
    const read =
      from.receipts < now.receipts
        ? await receipts.listForRooms(this.#db.reader, [room], {
            since: from.receipts,
            upTo: now.receipts,
            userId,
          })
        : new Map<RoomId, JsonObject>()
    return [
      ...(isTypingNews
        ? [{ type: 'm.typing', room_id: room.roomId, content: { user_ids: typing.usersTyping(room.roomId) } }]
        : []),
      ...[...read].map(([roomId, content]) => ({ type: 'm.receipt', room_id: roomId, content })),
      ...(await this.#presence(room, { since: from.presence, upTo: now.presence })),
    ]
  }

  /**
   * Of those in a room that anybody may join, whose presence is for everybody.
   * https://spec.matrix.org/latest/client-server-api/#security-considerations-7
   */
  async #presence(
    { roomId, roomNid }: RoomView['room'],
    range: { since: number; upTo: number },
  ): Promise<JsonObject[]> {
    const { members, presence, roomState } = this.#parts
    const changed = presence.changedUsers(range)
    if (changed.length === 0) return []
    const known = await members.getMany(this.#db.reader, roomNid, changed)
    const present = [...known.values()].filter(({ membership }) => membership === 'join')
    if (present.length === 0) return []
    const rule = await roomState.getStateEvent(roomId, 'm.room.join_rules', '')
    if (rule?.event.content['join_rule'] !== 'public') return []
    // Clients of the first versions look for the user in the content.
    return presence.listStates(present.map((member) => member.userId)).map((event) => ({
      ...event,
      content: { ...(event['content'] as JsonObject), user_id: event['sender']! },
    }))
  }

  async #answer(
    reader: EventReader,
    { start, events, passing, end }: Page & { readonly start: StreamToken },
  ): Promise<JsonObject> {
    return {
      start: formatStreamToken(start),
      end: formatStreamToken(end),
      chunk: [...(await this.#parts.clientEvents.serialize(reader, events)).map(inFirstForm), ...passing],
    }
  }
}
