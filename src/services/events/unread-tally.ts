import type { HighlightRecord, NotifyingCount } from '../../storage/stores/event-push-actions.js'
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
}

interface ThreadTally {
  /** Events that notify everybody. */
  readonly notifying: number
  /** Events that notify only those whom they highlight. */
  readonly extra: number
  readonly highlights: number
  /** The user's own last message: nothing before it is unread. */
  readonly ownPosition: number
}

const NOTHING: ThreadTally = { notifying: 0, extra: 0, highlights: 0, ownPosition: 0 }

/** The unread counts of one user in one room, up to some position, from where counting goes on. Immutable. */
export class UnreadTally {
  readonly roomNid: number
  readonly since: TallySince
  /** Up to where events that notify everybody have been counted. */
  readonly countedTo: number
  /** Up to where highlights have been counted. */
  readonly highlightedTo: number
  readonly #threads: ReadonlyMap<EventId | undefined, ThreadTally>

  private constructor(
    roomNid: number,
    since: TallySince,
    upTo: { readonly counted: number; readonly highlighted: number },
    threads: ReadonlyMap<EventId | undefined, ThreadTally>,
  ) {
    this.roomNid = roomNid
    this.since = since
    this.countedTo = upTo.counted
    this.highlightedTo = upTo.highlighted
    this.#threads = threads
  }

  /** Nothing counted yet. */
  static begin(roomNid: number, since: TallySince): UnreadTally {
    const floor = Math.max(since.joined, since.reads.unthreaded)
    return new UnreadTally(roomNid, since, { counted: floor, highlighted: floor }, new Map())
  }

  /** Whether it rests on the same. */
  isSince({ reads, joined, ignored }: TallySince): boolean {
    return this.since.reads === reads && this.since.joined === joined && this.since.ignored === ignored
  }

  /** With what has come after `countedTo` and `highlightedTo`; itself when that is nothing. */
  plus(counts: readonly NotifyingCount[], highlights: readonly HighlightRecord[]): UnreadTally {
    if (counts.length === 0 && highlights.length === 0) return this
    const threads = new Map(this.#threads)
    let counted = this.countedTo
    let highlighted = this.highlightedTo
    for (const { threadRoot, notifications, ownPosition, newestPosition } of counts) {
      // An own message makes everything before it read.
      const before = ownPosition > 0 ? { ...NOTHING, ownPosition } : (threads.get(threadRoot) ?? NOTHING)
      threads.set(threadRoot, { ...before, notifying: before.notifying + notifications })
      counted = Math.max(counted, newestPosition)
    }
    for (const { threadRoot, position, notifies } of highlights) {
      highlighted = Math.max(highlighted, position)
      const before = threads.get(threadRoot) ?? NOTHING
      if (position <= Math.max(before.ownPosition, this.#readTo(threadRoot))) continue
      const extra = before.extra + (notifies ? 0 : 1)
      threads.set(threadRoot, { ...before, extra, highlights: before.highlights + 1 })
    }
    return new UnreadTally(this.roomNid, this.since, { counted, highlighted }, threads)
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

function countOf({ notifying, extra, highlights }: ThreadTally): UnreadCount {
  return { notifications: notifying + extra, highlights }
}
