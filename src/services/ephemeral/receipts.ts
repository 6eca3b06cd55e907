import { forbidden, invalidParam, notFound } from '../../protocol/errors.js'
import type { EventId, RoomId, UserId } from '../../protocol/ids.js'
import type { Database, Query, Tx } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { ReceiptKey, ReceiptRecord, ReceiptsStore, ReceiptType } from '../../storage/stores/receipts.js'
import { RecentChanges } from '../../storage/streams/recent-changes.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import { Batcher } from '../../util/batcher.js'
import type { Clock } from '../../util/clock.js'
import { groupBy } from '../../util/group-by.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { RoomState } from '../events/room-state.js'
import { MAIN_TIMELINE } from '../events/unread-counts.js'
import type { PositionSink } from '../streams/notifier.js'
import type { ActivitySink } from './presence.js'

export interface ReceiptsDependencies {
  readonly db: Database
  readonly receipts: ReceiptsStore
  readonly events: EventsStore
  readonly roomState: Pick<RoomState, 'findRoom' | 'getMembership' | 'getMemberships'>
  /** Whether a user whose membership is not known may be in a room whose members are not all known. */
  readonly mayBeIn?: ((roomId: RoomId, userId: UserId) => Promise<boolean>) | undefined
  readonly streamIds: Pick<StreamIdGenerator, 'allocate' | 'position'>
  readonly positions: PositionSink
  readonly activity: ActivitySink
  readonly clock: Clock
}

/** A receipt as a client sends it. `threadId` is what stood in the request, unchecked. */
export interface ReceiptInput {
  readonly type: ReceiptType
  readonly eventId: EventId
  readonly threadId?: unknown
}

/** Receipts of a range of positions: after `since` (all that are current without it), up to and including `upTo`. */
export interface ReceiptRange {
  readonly since: number | undefined
  readonly upTo: number
  /** Whose private receipts are included. */
  readonly userId: UserId
}

/** A receipt of another server's user, as that server tells of it. */
export interface RemoteReceipt {
  readonly roomId: RoomId
  readonly userId: UserId
  readonly threadId: string | undefined
  readonly eventId: EventId
  readonly ts: number
}

interface PendingReceipt extends ReceiptRecord {
  readonly roomId: RoomId
}

/** How many relations are followed to find the thread of an event. */
const MAX_HOPS = 3
const MAX_BATCH = 500
const ROOMS_REMEMBERED = 50_000

/** How far people have read. https://spec.matrix.org/latest/client-server-api/#receipts */
export class Receipts {
  readonly #deps: ReceiptsDependencies
  readonly #batcher: Batcher<PendingReceipt>
  /** Where the receipts of each room last changed. */
  readonly #changes: RecentChanges<RoomId>

  constructor(deps: ReceiptsDependencies) {
    this.#deps = deps
    this.#batcher = new Batcher((receipts) => this.#store(receipts), { maxItems: MAX_BATCH })
    this.#changes = new RecentChanges(deps.streamIds.position(), { max: ROOMS_REMEMBERED })
  }

  /**
   * Moves receipts of the requester's to events of a room; one that is ahead already stays where it is. All are checked
   * before any is moved. Throws `M_FORBIDDEN` for those who are not in the room, `M_NOT_FOUND` for an event that is not
   * in it, `M_INVALID_PARAM` for a thread that cannot be or that the event does not belong to.
   */
  async send(requester: Requester, roomId: RoomId, inputs: readonly ReceiptInput[]): Promise<void> {
    const { userId } = requester
    const room = await this.#deps.roomState.findRoom(roomId)
    const member = room && (await this.#deps.roomState.getMembership(roomId, userId))
    if (room === undefined || member?.membership !== 'join') throw forbidden('You are not in this room')
    const receipts: PendingReceipt[] = []
    for (const { type, eventId, threadId } of inputs) {
      const { stored, position } = await this.requireEvent(room.roomNid, eventId)
      receipts.push({
        roomNid: room.roomNid,
        roomId,
        userId,
        type,
        threadId: await this.#checkThread(stored, threadId),
        eventId,
        eventPosition: position,
        ts: this.#deps.clock.now(),
      })
    }
    this.#deps.activity.onActivity(requester)
    await Promise.all(receipts.map((receipt) => this.#batcher.add(receipt)))
  }

  /**
   * Moves receipts of other servers' users, as far as those are in the rooms. Their events may come later, but not the
   * roots of threads, which anybody could name without end.
   */
  async receive(receipts: readonly RemoteReceipt[]): Promise<void> {
    const { db, events, roomState } = this.#deps
    const ids = receipts.flatMap(({ eventId, threadId }) => [eventId, (threadId ?? MAIN_TIMELINE) as EventId])
    const stored = await events.getByIds(db.reader, [...new Set(ids)])
    const pending: PendingReceipt[] = []
    for (const [roomId, ofRoom] of groupBy(receipts, (receipt) => receipt.roomId)) {
      const room = await roomState.findRoom(roomId)
      if (room === undefined) continue
      const users = await this.#present(roomId, [...new Set(ofRoom.map(({ userId }) => userId))])
      const isElsewhere = (id: string): boolean => stored.get(id as EventId)?.roomNid !== room.roomNid
      for (const receipt of ofRoom) {
        const { userId, eventId, threadId = MAIN_TIMELINE } = receipt
        const event = stored.get(eventId)
        if (!users.has(userId) || (event && isElsewhere(eventId))) continue
        if (threadId !== MAIN_TIMELINE && isElsewhere(threadId)) continue
        const eventPosition = event?.streamOrdering ?? undefined
        pending.push({ ...receipt, roomNid: room.roomNid, type: 'm.read', eventPosition })
      }
    }
    await Promise.all(pending.map((receipt) => this.#batcher.add(receipt)))
  }

  /** Who of these users is in a room, or may be where that is not known. */
  async #present(roomId: RoomId, userIds: readonly UserId[]): Promise<Set<UserId>> {
    const members = await this.#deps.roomState.getMemberships(roomId, userIds)
    const present = new Set<UserId>()
    for (const userId of userIds) {
      const member = members.get(userId)
      const isIn = member ? member.membership === 'join' : await this.#deps.mayBeIn?.(roomId, userId)
      if (isIn === true) present.add(userId)
    }
    return present
  }

  /** An event of a room's timeline and where in it it stands; `M_NOT_FOUND` for all others. */
  async requireEvent(roomNid: number, eventId: EventId): Promise<{ stored: StoredEvent; position: number }> {
    const stored = await this.#deps.events.get(this.#deps.db.reader, eventId)
    const position = stored?.streamOrdering
    if (stored?.roomNid !== roomNid || typeof position !== 'number') {
      throw notFound('There is no such event in this room')
    }
    return { stored, position }
  }

  /**
   * The content of the `m.receipt` event of each room that has receipts in the range; no more than the last 2000 of a
   * room. Without a query where nothing has changed, else one statement (two without `since`).
   */
  async listForRooms(
    q: Query,
    rooms: readonly { readonly roomNid: number; readonly roomId: RoomId }[],
    { since, upTo, userId }: ReceiptRange,
  ): Promise<Map<RoomId, JsonObject>> {
    const changed =
      since === undefined ? rooms : rooms.filter(({ roomId }) => this.#changes.mayHaveChanged(roomId, since))
    if (changed.length === 0) return new Map()
    const nids = changed.map(({ roomNid }) => roomNid)
    const [receipts, own] = await Promise.all([
      this.#deps.receipts.listChanges(q, nids, { from: since ?? 0, to: upTo, userId }),
      since === undefined ? this.#deps.receipts.listOwn(q, userId, nids, upTo) : [],
    ])
    const contents = contentsByRoom([...own, ...receipts])
    return new Map(
      changed.flatMap(({ roomNid, roomId }) => {
        const content = contents.get(roomNid)
        return content ? [[roomId, content] as const] : []
      }),
    )
  }

  /** In which of the rooms the user has read on, by their nids. Without a query where nothing has changed. */
  async listReadOn(
    q: Query,
    rooms: readonly { readonly roomNid: number; readonly roomId: RoomId }[],
    { since, upTo, userId }: ReceiptRange & { readonly since: number },
  ): Promise<ReadonlySet<number>> {
    if (since >= upTo) return new Set()
    const changed = rooms.filter(({ roomId }) => this.#changes.mayHaveChanged(roomId, since))
    const nids = changed.map(({ roomNid }) => roomNid)
    return this.#deps.receipts.listRoomsWithOwn(q, userId, nids, { from: since, to: upTo })
  }

  /** Resolves when nothing waits to be stored. */
  drain(): Promise<void> {
    return this.#batcher.drain()
  }

  async #checkThread(stored: StoredEvent, threadId: unknown): Promise<string | undefined> {
    if (threadId === undefined) return undefined
    if (typeof threadId !== 'string' || threadId === '') {
      throw invalidParam('thread_id must be a string that is not empty')
    }
    if (!(await this.#belongsTo(stored, threadId))) {
      throw invalidParam(`The event is not in the thread ${threadId.slice(0, 255)}`)
    }
    return threadId
  }

  /**
   * Whether an event is in a thread: by its own relation or by those of the events that it relates to. The root and
   * what relates to it are in the main timeline, but may also be where the thread has been read up to.
   */
  async #belongsTo(stored: StoredEvent, threadId: string): Promise<boolean> {
    let at: StoredEvent | undefined = stored
    for (let hops = 0; at !== undefined && hops <= MAX_HOPS; hops++) {
      if (at.threadRoot !== null) return at.threadRoot === threadId
      if (at.event.eventId === threadId || at.relatesTo === threadId) return true
      const next: EventId | null = at.relatesTo
      at = next === null ? undefined : await this.#deps.events.get(this.#deps.db.reader, next)
      if (at?.roomNid !== stored.roomNid) at = undefined
    }
    return threadId === MAIN_TIMELINE
  }

  async #store(receipts: readonly PendingReceipt[]): Promise<void> {
    await this.#deps.db.write('store_receipts', async (tx) => {
      const ahead = await this.#keepThoseAhead(tx, receipts)
      if (ahead.length === 0) return
      const ids = await this.#deps.streamIds.allocate(tx, ahead.length)
      const placed = ahead.map((receipt, index) => ({ ...receipt, streamId: ids[index]! }))
      await this.#deps.receipts.upsert(tx, placed)
      tx.afterCommit(() => {
        for (const { roomId, streamId } of placed) this.#changes.record(roomId, streamId)
        this.#tell(placed)
      })
    })
  }

  /**
   * Of each key the receipt that is furthest, where it is ahead of the stored one. One in a thread says nothing that one
   * without, on the same event, does not: told later, it would take the place of that with clients.
   */
  async #keepThoseAhead(tx: Tx, receipts: readonly PendingReceipt[]): Promise<PendingReceipt[]> {
    const furthest = new Map<string, PendingReceipt>()
    for (const receipt of receipts) {
      const key = keyOf(receipt)
      const before = furthest.get(key)
      if (before === undefined || isAhead(receipt, before)) furthest.set(key, receipt)
    }
    const wanted = new Map<string, ReceiptKey>(furthest)
    for (const receipt of furthest.values()) wanted.set(keyOf(withoutThread(receipt)), withoutThread(receipt))
    const current = await this.#deps.receipts.getMany(tx, [...wanted.values()])
    const covered = new Set<string>()
    for (const stored of current) {
      const key = keyOf(stored)
      const moved = furthest.get(key)
      if (moved !== undefined && !isAhead(moved, stored)) furthest.delete(key)
      if (stored.threadId === undefined) covered.add(`${key} ${stored.eventId}`)
    }
    return [...furthest.values()].filter((receipt) => {
      const isCovered = covered.has(`${keyOf(withoutThread(receipt))} ${receipt.eventId}`)
      return receipt.threadId === undefined || !isCovered
    })
  }

  #tell(receipts: readonly PendingReceipt[]): void {
    const rooms = new Set<RoomId>()
    const users = new Set<UserId>()
    for (const { type, roomId, userId } of receipts) {
      // Readers by name, too: what they are told of is not the receipt alone.
      users.add(userId)
      if (type !== 'm.read.private') rooms.add(roomId)
    }
    this.#deps.positions.onNewPosition('receipts', { rooms: [...rooms], users: [...users] })
  }
}

/** An event that is not here yet is ahead of all that are. */
function isAhead(a: ReceiptRecord, b: ReceiptRecord): boolean {
  return a.eventId !== b.eventId && (a.eventPosition ?? Infinity) > (b.eventPosition ?? -Infinity)
}

function withoutThread({ roomNid, userId, type }: ReceiptKey): ReceiptKey {
  return { roomNid, userId, type, threadId: undefined }
}

function keyOf({ roomNid, userId, type, threadId }: ReceiptKey): string {
  return `${roomNid}\u0000${userId}\u0000${type}\u0000${threadId ?? ''}`
}

/**
 * Event ID -> type -> user ID -> receipt. There is room for one receipt of a user on an event: the one without a thread,
 * which says most. https://spec.matrix.org/latest/client-server-api/#mreceipt
 */
function contentsByRoom(receipts: readonly ReceiptRecord[]): Map<number, JsonObject> {
  const contents = new Map<number, JsonObject>()
  for (const { roomNid, eventId, type, userId, ts, threadId } of receipts) {
    const content = childOf(contents, roomNid)
    const users = ownChild(ownChild(content, eventId), type)
    if (threadId !== undefined && userId in users) continue
    users[userId] = threadId === undefined ? { ts } : { ts, thread_id: threadId }
  }
  return contents
}

function childOf(contents: Map<number, JsonObject>, roomNid: number): JsonObject {
  let content = contents.get(roomNid)
  if (content === undefined) contents.set(roomNid, (content = {}))
  return content
}

function ownChild(parent: JsonObject, name: string): JsonObject {
  const child = (parent[name] ?? {}) as JsonObject
  parent[name] = child
  return child
}
