import type { PushNews } from '../../storage/stores/event-push-actions.js'
import type { ReadPositions } from '../../storage/stores/receipts.js'
import type { EventId } from '../../protocol/ids.js'
import type { RoomUnreadCounts, UnreadCount } from './unread-counts.js'

/** What a tally rests on: when one of these changes, it begins anew. */
export interface TallySince {
  /** Compared by identity: the store gives the same object as long as no receipt moves. */
  readonly reads: ReadPositions
  /** When the user joined the room. */
  readonly joined: number
  /** Whom the user ignores. */
  readonly ignored: string
  /** The user's push rules keep the room's messages quiet: only exceptions count. */
  readonly quiet: boolean
}

interface ThreadTally {
  readonly notifications: number
  readonly highlights: number
  /** The user's own last message: nothing before it is unread. */
  readonly ownPosition: number
}

const NOTHING: ThreadTally = { notifications: 0, highlights: 0, ownPosition: 0 }

/** The unread counts of one user in one room, up to some position, from where counting goes on. Immutable. */
export class UnreadTally {
  readonly roomNid: number
  readonly since: TallySince
  /** Up to where events have been counted. */
  readonly countedTo: number
  readonly #threads: ReadonlyMap<EventId | undefined, ThreadTally>

  private constructor(
    roomNid: number,
    since: TallySince,
    countedTo: number,
    threads: ReadonlyMap<EventId | undefined, ThreadTally>,
  ) {
    this.roomNid = roomNid
    this.since = since
    this.countedTo = countedTo
    this.#threads = threads
  }

  /** Nothing counted yet. */
  static begin(roomNid: number, since: TallySince): UnreadTally {
    return new UnreadTally(roomNid, since, Math.max(since.joined, since.reads.unthreaded), new Map())
  }

  /** Whether it rests on the same. */
  isSince({ reads, joined, ignored, quiet }: TallySince): boolean {
    const { since } = this
    return (
      since.reads === reads && since.joined === joined && since.ignored === ignored && since.quiet === quiet
    )
  }

  /** With what has come after `countedTo`, all of it; itself when that is nothing. */
  plus(news: readonly PushNews[]): UnreadTally {
    if (news.length === 0) return this
    const threads = new Map(this.#threads)
    let countedTo = this.countedTo
    for (const { kind, threadRoot, notifications, ownPosition, position } of news) {
      countedTo = Math.max(countedTo, position)
      if (kind !== 'everybody') continue
      // An own message makes everything before it read.
      const before = ownPosition > 0 ? { ...NOTHING, ownPosition } : (threads.get(threadRoot) ?? NOTHING)
      const added = this.since.quiet ? 0 : notifications
      threads.set(threadRoot, { ...before, notifications: before.notifications + added })
    }
    for (const { kind, threadRoot, position, ...added } of news) {
      if (kind === 'everybody' || (kind === 'highlight' && this.since.quiet)) continue
      const before = threads.get(threadRoot) ?? NOTHING
      if (position <= Math.max(before.ownPosition, this.#readTo(threadRoot))) continue
      threads.set(threadRoot, {
        ...before,
        notifications: before.notifications + added.notifications,
        highlights: before.highlights + added.highlights,
      })
    }
    return new UnreadTally(this.roomNid, this.since, countedTo, threads)
  }

  counts(): RoomUnreadCounts {
    const threads = new Map<EventId, UnreadCount>()
    for (const [threadRoot, tally] of this.#threads) {
      const count = countOf(tally)
      if (threadRoot !== undefined && count.notifications > 0) threads.set(threadRoot, count)
    }
    return { ...countOf(this.#threads.get(undefined) ?? NOTHING), threads }
  }

  #readTo(threadRoot: EventId | undefined): number {
    return this.since.reads.threads.get(threadRoot ?? 'main') ?? 0
  }
}

/** Exceptions of events that are not counted (there are too many) must not make it less than nothing. */
function countOf({ notifications, highlights }: ThreadTally): UnreadCount {
  return { notifications: Math.max(0, notifications), highlights: Math.max(0, highlights) }
}
