import type { CountAdjustment, NotifyingCount } from '../../storage/stores/event-push-actions.js'
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

/** Up to which positions events have been counted. */
export interface TallyPositions {
  /** Those that notify everybody. */
  readonly notifying: number
  readonly highlights: number
  readonly exceptions: number
}

/** What has come since. */
export interface TallyNews {
  readonly counts: readonly NotifyingCount[]
  readonly highlights: readonly CountAdjustment[]
  readonly exceptions: readonly CountAdjustment[]
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
  readonly countedTo: TallyPositions
  readonly #threads: ReadonlyMap<EventId | undefined, ThreadTally>

  private constructor(
    roomNid: number,
    since: TallySince,
    countedTo: TallyPositions,
    threads: ReadonlyMap<EventId | undefined, ThreadTally>,
  ) {
    this.roomNid = roomNid
    this.since = since
    this.countedTo = countedTo
    this.#threads = threads
  }

  /** Nothing counted yet. */
  static begin(roomNid: number, since: TallySince): UnreadTally {
    const floor = Math.max(since.joined, since.reads.unthreaded)
    const countedTo = { notifying: floor, highlights: floor, exceptions: floor }
    return new UnreadTally(roomNid, since, countedTo, new Map())
  }

  /** Whether it rests on the same. */
  isSince({ reads, joined, ignored, quiet }: TallySince): boolean {
    const { since } = this
    return (
      since.reads === reads && since.joined === joined && since.ignored === ignored && since.quiet === quiet
    )
  }

  /** With what has come after `countedTo`; itself when that is nothing. */
  plus({ counts, highlights, exceptions }: TallyNews): UnreadTally {
    if (counts.length + highlights.length + exceptions.length === 0) return this
    const { quiet } = this.since
    const threads = new Map(this.#threads)
    for (const { threadRoot, notifications, ownPosition } of counts) {
      // An own message makes everything before it read.
      const before = ownPosition > 0 ? { ...NOTHING, ownPosition } : (threads.get(threadRoot) ?? NOTHING)
      const added = quiet ? 0 : notifications
      threads.set(threadRoot, { ...before, notifications: before.notifications + added })
    }
    for (const { threadRoot, position, ...added } of quiet ? exceptions : [...highlights, ...exceptions]) {
      const before = threads.get(threadRoot) ?? NOTHING
      if (position <= Math.max(before.ownPosition, this.#readTo(threadRoot))) continue
      threads.set(threadRoot, {
        ...before,
        notifications: before.notifications + added.notifications,
        highlights: before.highlights + added.highlights,
      })
    }
    const countedTo = {
      notifying: Math.max(this.countedTo.notifying, ...counts.map((count) => count.newestPosition)),
      highlights: Math.max(this.countedTo.highlights, ...highlights.map(({ position }) => position)),
      exceptions: Math.max(this.countedTo.exceptions, ...exceptions.map(({ position }) => position)),
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
