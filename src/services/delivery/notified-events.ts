import type { RoomId, UserId } from '../../protocol/ids.js'
import type { PushEvaluator, PushOutcome } from '../../protocol/push-evaluator.js'
import type { Database } from '../../storage/database.js'
import type { EventPushActionsStore } from '../../storage/stores/event-push-actions.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { MembershipChangesStore } from '../../storage/stores/membership-changes.js'
import type { NotificationsStore, NotifiedEvent, NotifiedRoom } from '../../storage/stores/notifications.js'
import type { ReadPositions, ReceiptsStore } from '../../storage/stores/receipts.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type {
  ThreadSubscriptionKey,
  ThreadSubscriptionsStore,
} from '../../storage/stores/thread-subscriptions.js'
import { BatchedLookup } from '../../util/batched-lookup.js'
import { groupBy } from '../../util/group-by.js'
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

/** A part of what notified a user. */
export interface NotificationPage {
  /** The newest first. */
  readonly notifications: UserNotification[]
  /** The position that was looked at down to where there may be more: undefined where there is not. */
  readonly reached: number | undefined
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
  readonly receipts: Pick<ReceiptsStore, 'getReadPositionsOf'>
  readonly pushRules: Pick<PushRules, 'evaluatorsOfChanged' | 'defaultEvaluator'>
  readonly ignored: Pick<IgnoredUsers, 'of'>
  readonly hiddenInviters: Pick<HiddenInviters, 'of'>
  /** Rooms that no client is told of: invitations there notify nobody, as nothing else does. */
  readonly silentRooms?: ReadonlySet<RoomId>
  /** Who has subscribed to threads; undefined: that does not count. */
  readonly threads?: Pick<ThreadSubscriptionsStore, 'listSubscribed'> | undefined
}

/** For what notified once, though the rules have changed since. */
const PLAIN: PushOutcome = { notify: true, highlight: false, actions: ['notify'] }
const HIGHLIGHT: PushOutcome = {
  notify: true,
  highlight: true,
  actions: ['notify', { set_tweak: 'highlight' }],
}
/** Questions that are answered together. */
const MAX_BATCH = 100

interface PageRequest {
  readonly userId: UserId
  readonly range: NotificationRange
}

interface InvitationsRequest {
  readonly userId: UserId
  readonly after: number
  readonly upTo: number
}

/** An event that may notify a user. */
interface Candidate {
  readonly userId: UserId
  readonly stored: StoredEvent
  readonly room: RoomRecord
  readonly position: number
}

type Evaluators = ReadonlyMap<UserId, PushEvaluator>

/**
 * The events that notify users, with what their push rules say to do about them. A message may concern thousands who
 * are asked for at the same time: they are answered together, with as many statements as one alone.
 */
export class NotifiedEvents {
  readonly #deps: NotifiedEventsDependencies
  readonly #pages: BatchedLookup<PageRequest, NotificationPage>
  readonly #invitations: BatchedLookup<InvitationsRequest, UserNotification[]>

  constructor(deps: NotifiedEventsDependencies) {
    this.#deps = deps
    const options = { maxItems: MAX_BATCH }
    this.#pages = new BatchedLookup((requests) => this.#readPages(requests), options)
    this.#invitations = new BatchedLookup((requests) => this.#readInvitations(requests), options)
  }

  /**
   * What notified a user in rooms that they are in, since they joined, the newest first. Events of ignored users and
   * those that have been redacted are left out. What the rules now say counts, where they still notify.
   */
  async list(userId: UserId, range: NotificationRange): Promise<UserNotification[]> {
    return (await this.page(userId, range)).notifications
  }

  /** As `list`, with how far it has looked. */
  async page(userId: UserId, range: NotificationRange): Promise<NotificationPage> {
    return (await this.#pages.get({ userId, range })) ?? { notifications: [], reached: undefined }
  }

  /** The invitations of a range of positions that notify the user, the oldest first. */
  async listInvitations(userId: UserId, range: { after: number; upTo: number }): Promise<UserNotification[]> {
    return (await this.#invitations.get({ userId, after: range.after, upTo: range.upTo })) ?? []
  }

  async #readPages(requests: readonly PageRequest[]): Promise<Map<PageRequest, NotificationPage>> {
    const evaluators = await this.#evaluators(requests)
    const joined = await this.#joinedRooms(requests)
    const nids = [...new Set([...joined.values()].flatMap((rooms) => [...rooms.keys()]))]
    const rooms = await this.#deps.rooms.getByNids(this.#deps.db.reader, nids)
    const roomsOf = ({ userId, range }: PageRequest): NotifiedRoom[] => {
      const own = evaluators.get(userId)
      const wanted = [...(joined.get(userId) ?? [])].filter(([nid]) => range.roomNids?.has(nid) ?? true)
      return wanted.map(([roomNid, position]) => {
        const room = rooms.get(roomNid)
        const isQuiet = own !== undefined && room !== undefined && isQuietRoom(own, room)
        return { roomNid, position: Math.max(position, range.after), isQuiet }
      })
    }
    const found = await this.#listNotified(requests, roomsOf)
    const events = await this.#deps.events.getByNids(this.#deps.db.reader, [
      ...new Set([...found.values()].flatMap((own) => own.map(({ eventNid }) => eventNid))),
    ])
    const isWanted = await this.#filterFor(requests)
    const candidates = requests.flatMap((request) =>
      (found.get(request) ?? []).flatMap(({ eventNid, position, isHighlight }) => {
        const stored = events.get(eventNid)
        const room = stored && rooms.get(stored.roomNid)
        if (stored === undefined || room === undefined || !isWanted(request.userId, stored)) return []
        return [{ request, userId: request.userId, stored, room, position, isHighlight }]
      }),
    )
    const evaluate = await this.#evaluatorFor(evaluators, candidates)
    const reads = await this.#deps.receipts.getReadPositionsOf(this.#deps.db.reader, membersOf(candidates))
    const pages = new Map<PageRequest, NotificationPage>()
    for (const request of requests) {
      const own = found.get(request) ?? []
      const reached = own.length === request.range.limit ? own.at(-1)?.position : undefined
      pages.set(request, { notifications: [], reached })
    }
    for (const candidate of candidates) {
      const { request, userId, stored, room, position, isHighlight } = candidate
      const outcome = evaluate(candidate)
      pages.get(request)?.notifications.push({
        ...{ stored, room, position },
        outcome: outcome.notify ? outcome : isHighlight ? HIGHLIGHT : PLAIN,
        isRead: isRead(stored, position, reads.get(userId)?.get(room.roomNid)),
      })
    }
    return pages
  }

  async #readInvitations(
    requests: readonly InvitationsRequest[],
  ): Promise<Map<InvitationsRequest, UserNotification[]>> {
    const q = this.#deps.db.reader
    const changes = await this.#deps.changes.listForUsers(q, requests)
    const invites = requests.flatMap((request, index) =>
      (changes[index] ?? [])
        .filter(({ membership }) => membership === 'invite')
        .map((invite) => ({ ...invite, request })),
    )
    const answers = new Map<InvitationsRequest, UserNotification[]>(requests.map((request) => [request, []]))
    if (invites.length === 0) return answers
    const rooms = await this.#deps.rooms.getByNids(q, [...new Set(invites.map(({ roomNid }) => roomNid))])
    const events = await this.#deps.events.getByNids(
      q,
      invites.map(({ eventNid }) => eventNid),
    )
    const isWanted = await this.#filterFor(requests)
    const candidates = invites.flatMap(({ request, eventNid, roomNid, streamOrdering: position }) => {
      const { userId } = request
      const stored = events.get(eventNid)
      const room = rooms.get(roomNid)
      if (stored === undefined || room === undefined || !isWanted(userId, stored)) return []
      if (this.#deps.silentRooms?.has(room.roomId)) return []
      return [{ request, userId, stored, room, position }]
    })
    const evaluate = await this.#evaluatorFor(await this.#evaluators(requests), candidates)
    const hidden = await byUser(requests, (userId) => this.#deps.hiddenInviters.of(userId))
    for (const candidate of candidates) {
      const { request, userId, stored, room, position } = candidate
      if (hidden.get(userId)?.has(stored.event.sender) === true) continue
      const outcome = evaluate(candidate)
      if (outcome.notify) answers.get(request)?.push({ stored, room, position, outcome, isRead: false })
    }
    return answers
  }

  #evaluators(requests: readonly { readonly userId: UserId }[]): Promise<Evaluators> {
    const userIds = [...new Set(requests.map(({ userId }) => userId))]
    return this.#deps.pushRules.evaluatorsOfChanged(userIds, this.#deps.db.reader)
  }

  /** By user the rooms that they are in, of those that are asked for, and since when. */
  async #joinedRooms(requests: readonly PageRequest[]): Promise<Map<UserId, Map<number, number>>> {
    const q = this.#deps.db.reader
    const ofAll = requests.filter(({ range }) => range.roomNids === undefined)
    const members = await this.#deps.members.listForUsers(
      q,
      [...new Set(ofAll.map(({ userId }) => userId))],
      ['join'],
    )
    const asked = requests.flatMap(({ userId, range }) =>
      [...(range.roomNids ?? [])].map((roomNid) => ({ userId, roomNid })),
    )
    const joins = await this.#deps.pushActions.listJoinPositions(q, [
      ...[...members.values()].flat(),
      ...asked,
    ])
    const joined = new Map<UserId, Map<number, number>>()
    for (const { userId, roomNid, position } of joins) {
      const own = joined.get(userId) ?? new Map<number, number>()
      joined.set(userId, own.set(roomNid, position))
    }
    return joined
  }

  /** One statement for all who want the same of their rooms: mostly everybody. */
  async #listNotified(
    requests: readonly PageRequest[],
    roomsOf: (request: PageRequest) => NotifiedRoom[],
  ): Promise<Map<PageRequest, NotifiedEvent[]>> {
    const alike = groupBy(requests, ({ range }) => `${range.limit} ${range.onlyHighlights ?? false}`)
    const found = new Map<PageRequest, NotifiedEvent[]>()
    for (const group of alike.values()) {
      const { limit, onlyHighlights = false } = group[0]!.range
      const users = group.map((request) => ({
        userId: request.userId,
        upTo: request.range.upTo,
        rooms: roomsOf(request),
      }))
      const lists = await this.#deps.notifications.list(this.#deps.db.reader, {
        users,
        onlyHighlights,
        limit,
      })
      for (const [index, request] of group.entries()) found.set(request, lists[index] ?? [])
    }
    return found
  }

  async #filterFor(
    requests: readonly { readonly userId: UserId }[],
  ): Promise<(userId: UserId, stored: StoredEvent) => boolean> {
    const ignored = await byUser(requests, (userId) => this.#deps.ignored.of(userId))
    return (userId, { event, redactedBy, rejected, softFailed }) =>
      event.sender !== userId &&
      redactedBy === null &&
      rejected === null &&
      !softFailed &&
      ignored.get(userId)?.has(event.sender) !== true
  }

  /** Whether users have subscribed to the threads of the events; undefined for those that are in none. */
  async #subscriptionsFor(
    candidates: readonly Candidate[],
  ): Promise<(candidate: Candidate) => boolean | undefined> {
    const { db, threads } = this.#deps
    const keys = new Map(
      candidates.flatMap((candidate) => {
        const key = threadOf(candidate)
        return key === undefined ? [] : [[textOf(key), key] as const]
      }),
    )
    const found = await threads?.listSubscribed(db.reader, [...keys.values()])
    const subscribed = new Set(found?.map(textOf))
    return (candidate) => {
      const key = threadOf(candidate)
      return key && subscribed.has(textOf(key))
    }
  }

  /** The users' rules with what they ask of the rooms, read beforehand. */
  async #evaluatorFor(
    changed: Evaluators,
    candidates: readonly Candidate[],
  ): Promise<(candidate: Candidate) => PushOutcome> {
    const facts = await this.#deps.roomFacts.get(candidates.map(({ room }) => room.roomNid))
    const names = await this.#deps.notifications.getDisplayNames(this.#deps.db.reader, membersOf(candidates))
    const isSubscribed = await this.#subscriptionsFor(candidates)
    const evaluators = new Map(changed)
    return (candidate) => {
      const { userId, stored, room } = candidate
      const { event } = stored
      const evaluator = evaluators.get(userId) ?? this.#deps.pushRules.defaultEvaluator(userId)
      evaluators.set(userId, evaluator)
      const ofRoom = facts.get(room.roomNid)
      return evaluator.evaluate(event, {
        memberCount: ofRoom?.memberCount ?? 0,
        displayName: names.get(userId)?.get(room.roomNid),
        isSubscribed: isSubscribed(candidate),
        mayNotify: (key) => key === 'room' && mayNotifyRoom(ofRoom, room, event.sender),
      })
    }
  }
}

/** What is asked of each of the users, at the same time so that it is looked up together. */
async function byUser<T>(
  requests: readonly { readonly userId: UserId }[],
  ask: (userId: UserId) => Promise<T>,
): Promise<Map<UserId, T>> {
  const userIds = [...new Set(requests.map(({ userId }) => userId))]
  return new Map(await Promise.all(userIds.map(async (id) => [id, await ask(id)] as const)))
}

/** A user and the thread of an event, where it is in one. */
function threadOf({ userId, stored }: Candidate): ThreadSubscriptionKey | undefined {
  const { threadRoot, roomNid } = stored
  return threadRoot === null ? undefined : { userId, roomNid, rootId: threadRoot }
}

function textOf({ userId, roomNid, rootId }: ThreadSubscriptionKey): string {
  return `${userId} ${roomNid} ${rootId}`
}

/** The users in the rooms of their events, each once. */
function membersOf(candidates: readonly Candidate[]): { userId: UserId; roomNid: number }[] {
  const members = new Map<string, { userId: UserId; roomNid: number }>()
  for (const { userId, room } of candidates) {
    members.set(`${room.roomNid} ${userId}`, { userId, roomNid: room.roomNid })
  }
  return [...members.values()]
}

function isRead(stored: StoredEvent, position: number, reads: ReadPositions | undefined): boolean {
  if (reads === undefined) return false
  const inThread = reads.threads.get(stored.threadRoot ?? MAIN_TIMELINE) ?? 0
  return position <= Math.max(reads.unthreaded, inThread)
}
