import type { Event } from '../../protocol/event.js'
import type { UserId } from '../../protocol/ids.js'
import type { PushEvaluator, PushOutcome } from '../../protocol/push-evaluator.js'
import type { Database, Query } from '../../storage/database.js'
import type { EventPushActionsStore } from '../../storage/stores/event-push-actions.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { MembershipChangesStore } from '../../storage/stores/membership-changes.js'
import type { NotificationsStore } from '../../storage/stores/notifications.js'
import type { ReadPositions, ReceiptsStore } from '../../storage/stores/receipts.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { PushRules } from '../accounts/push-rules.js'
import { isQuietRoom } from '../events/quiet-rooms.js'
import { MAIN_TIMELINE } from '../events/unread-counts.js'
import type { HiddenInviters } from '../sync/hidden-inviters.js'
import type { IgnoredUsers } from '../sync/ignored-users.js'
import { mayNotifyRoom, type RoomPushFacts } from './room-push-facts.js'

/** An event that notifies a user, and how. */
export interface UserNotification {
  readonly stored: StoredEvent
  readonly room: RoomRecord
  /** Of the events stream. */
  readonly position: number
  readonly outcome: PushOutcome
  /** The user's receipts say so. */
  readonly isRead: boolean
}

export interface NotificationRange {
  /** After this. */
  readonly after: number
  /** At or below this. */
  readonly upTo: number
  /** The newest of each room, and of all. */
  readonly limit: number
  readonly onlyHighlights?: boolean
  /** Only of these rooms. */
  readonly roomNids?: ReadonlySet<number>
}

export interface NotifiedEventsDependencies {
  readonly db: Database
  readonly notifications: NotificationsStore
  readonly pushActions: Pick<EventPushActionsStore, 'listJoinPositions'>
  readonly changes: MembershipChangesStore
  readonly members: RoomMembersStore
  readonly rooms: RoomsStore
  readonly roomFacts: Pick<RoomPushFacts, 'get'>
  readonly events: EventsStore
  readonly receipts: Pick<ReceiptsStore, 'getReadPositions'>
  readonly pushRules: Pick<PushRules, 'evaluatorsOfChanged' | 'defaultEvaluator'>
  readonly ignored: Pick<IgnoredUsers, 'of'>
  readonly hiddenInviters: Pick<HiddenInviters, 'of'>
}

/** For what notified once, though the rules have changed since. */
const PLAIN: PushOutcome = { notify: true, highlight: false, actions: ['notify'] }
const HIGHLIGHT: PushOutcome = {
  notify: true,
  highlight: true,
  actions: ['notify', { set_tweak: 'highlight' }],
}

/** The events that notify users, with what their push rules say to do about them. */
export class NotifiedEvents {
  readonly #deps: NotifiedEventsDependencies

  constructor(deps: NotifiedEventsDependencies) {
    this.#deps = deps
  }

  /**
   * What notified a user in rooms that they are in, since they joined, the newest first. Events of ignored users and
   * those that have been redacted are left out. What the rules now say counts, where they still notify.
   */
  async list(userId: UserId, range: NotificationRange): Promise<UserNotification[]> {
    return (await this.page(userId, range)).notifications
  }

  /**
   * As `list`, with the position that it has looked at down to where there may be more: undefined where there is not.
   */
  async page(
    userId: UserId,
    range: NotificationRange,
  ): Promise<{ notifications: UserNotification[]; reached: number | undefined }> {
    const q = this.#deps.db.reader
    const joined = await this.#joinedRooms(q, userId, range.roomNids)
    if (joined.length === 0) return { notifications: [], reached: undefined }
    const evaluators = await this.#deps.pushRules.evaluatorsOfChanged([userId], q)
    const own = evaluators.get(userId)
    const rooms = await this.#deps.rooms.getByNids(
      q,
      joined.map(({ roomNid }) => roomNid),
    )
    const found = await this.#deps.notifications.list(q, {
      userId,
      upTo: range.upTo,
      limit: range.limit,
      onlyHighlights: range.onlyHighlights ?? false,
      rooms: joined.map(({ roomNid, position }) => {
        const room = rooms.get(roomNid)
        const isQuiet = own !== undefined && room !== undefined && isQuietRoom(own, room)
        return { roomNid, position: Math.max(position, range.after), isQuiet }
      }),
    })
    const events = await this.#deps.events.getByNids(
      q,
      found.map(({ eventNid }) => eventNid),
    )
    const isWanted = await this.#filterFor(userId)
    const notified = found.flatMap(({ eventNid, position, isHighlight }) => {
      const stored = events.get(eventNid)
      const room = stored && rooms.get(stored.roomNid)
      return stored && room && isWanted(stored) ? [{ stored, room, position, isHighlight }] : []
    })
    const evaluate = await this.#evaluatorFor(q, userId, {
      evaluator: own,
      rooms: notified.map(({ room }) => room),
    })
    const reads = await this.#deps.receipts.getReadPositions(q, userId, [
      ...new Set(notified.map(({ room }) => room.roomNid)),
    ])
    const notifications = notified.map(({ stored, room, position, isHighlight }) => {
      const outcome = evaluate(stored.event, room)
      return {
        stored,
        room,
        position,
        outcome: outcome.notify ? outcome : isHighlight ? HIGHLIGHT : PLAIN,
        isRead: isRead(stored, position, reads.get(room.roomNid)),
      }
    })
    return { notifications, reached: found.length === range.limit ? found.at(-1)?.position : undefined }
  }

  /** The invitations of a range of positions that notify the user, the oldest first. */
  async listInvitations(userId: UserId, range: { after: number; upTo: number }): Promise<UserNotification[]> {
    const q = this.#deps.db.reader
    const changes = await this.#deps.changes.listForUser(q, userId, range)
    const invites = changes.filter(({ membership }) => membership === 'invite')
    if (invites.length === 0) return []
    const rooms = await this.#deps.rooms.getByNids(q, [...new Set(invites.map(({ roomNid }) => roomNid))])
    const events = await this.#deps.events.getByNids(
      q,
      invites.map(({ eventNid }) => eventNid),
    )
    const evaluators = await this.#deps.pushRules.evaluatorsOfChanged([userId], q)
    const evaluate = await this.#evaluatorFor(q, userId, {
      evaluator: evaluators.get(userId),
      rooms: [...rooms.values()],
    })
    const [isWanted, hidden] = await Promise.all([
      this.#filterFor(userId),
      this.#deps.hiddenInviters.of(userId),
    ])
    return invites.flatMap(({ eventNid, roomNid, streamOrdering }) => {
      const stored = events.get(eventNid)
      const room = rooms.get(roomNid)
      if (stored === undefined || room === undefined || !isWanted(stored)) return []
      if (hidden.has(stored.event.sender)) return []
      const outcome = evaluate(stored.event, room)
      return outcome.notify ? [{ stored, room, position: streamOrdering, outcome, isRead: false }] : []
    })
  }

  async #joinedRooms(q: Query, userId: UserId, only: ReadonlySet<number> | undefined) {
    const members = await this.#deps.members.listForUser(q, userId, ['join'])
    const nids = members.map(({ roomNid }) => roomNid).filter((nid) => only?.has(nid) ?? true)
    return nids.length === 0 ? [] : this.#deps.pushActions.listJoinPositions(q, userId, nids)
  }

  async #filterFor(userId: UserId): Promise<(stored: StoredEvent) => boolean> {
    const ignored = await this.#deps.ignored.of(userId)
    return ({ event, redactedBy, rejected, softFailed }) =>
      event.sender !== userId &&
      redactedBy === null &&
      rejected === null &&
      !softFailed &&
      !ignored.has(event.sender)
  }

  /** The user's rules with what they ask of these rooms, read beforehand. */
  async #evaluatorFor(
    q: Query,
    userId: UserId,
    given: { evaluator: PushEvaluator | undefined; rooms: readonly RoomRecord[] },
  ): Promise<(event: Event, room: RoomRecord) => PushOutcome> {
    const evaluator = given.evaluator ?? this.#deps.pushRules.defaultEvaluator(userId)
    const nids = [...new Set(given.rooms.map(({ roomNid }) => roomNid))]
    const facts = await this.#deps.roomFacts.get(nids)
    const names = await this.#deps.notifications.getDisplayNames(q, userId, nids)
    return (event, room) =>
      evaluator.evaluate(event, {
        memberCount: facts.get(room.roomNid)?.memberCount ?? 0,
        displayName: names.get(room.roomNid),
        mayNotify: (key) => key === 'room' && mayNotifyRoom(facts.get(room.roomNid), room, event.sender),
      })
  }
}

function isRead(stored: StoredEvent, position: number, reads: ReadPositions | undefined): boolean {
  if (reads === undefined) return false
  const inThread = reads.threads.get(stored.threadRoot ?? MAIN_TIMELINE) ?? 0
  return position <= Math.max(reads.unthreaded, inThread)
}
