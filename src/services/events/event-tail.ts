import type { Database } from '../../storage/database.js'
import type { StateDelta, StateDeltasStore } from '../../storage/stores/state-deltas.js'
import type { StreamRow, TimelinesStore } from '../../storage/stores/timelines.js'

/** What happened in a stretch of the events stream, in order. */
export interface TailSlice {
  readonly events: readonly StreamRow[]
  readonly deltas: readonly StateDelta[]
}

interface Placed {
  readonly streamOrdering: number
}

export interface EventTailOptions {
  /** Events that are kept. */
  readonly maxEvents: number
}

interface Parts {
  readonly timelines: TimelinesStore
  readonly deltas: StateDeltasStore
}

/** How much of what came before the start is read. */
const START_EVENTS = 1_000
/** A longer stretch is not read as a whole: what lies in it is looked up room by room. */
const MAX_STEP = 10_000
/** Events that are told of and have not become part of the tail, because nobody follows or something lies between. */
const MAX_OFFERED = 5_000

/**
 * The end of the events stream in memory, shared by all who follow it: a new event costs two statements in all, however
 * many users wait for it, and none where the writer has told of it. What is committed at or below a position never
 * changes, so nothing is ever invalidated.
 */
export class EventTail {
  readonly #db: Database
  readonly #parts: Parts
  readonly #options: EventTailOptions
  #events: StreamRow[] = []
  #deltas: StateDelta[] = []
  /** Everything after `floor`, up to and including `top`, is here. */
  #floor: number | undefined
  #top = 0
  /** Events after `top` that come without changes of state, by position. */
  readonly #offered = new Map<number, StreamRow>()
  #reading: Promise<void> | undefined

  constructor(db: Database, parts: Parts, options: EventTailOptions = { maxEvents: 20_000 }) {
    this.#db = db
    this.#parts = parts
    this.#options = options
  }

  /**
   * What happened after one position, up to and including another that can be read. Undefined when that is no longer
   * (or not yet) in memory.
   */
  async between(after: number, upTo: number): Promise<TailSlice | undefined> {
    if (after >= upTo) return NOTHING
    while (upTo > this.#top) {
      if (this.#reading === undefined && this.#takeOffered(upTo)) break
      this.#reading ??= this.#read(upTo).finally(() => (this.#reading = undefined))
      await this.#reading
    }
    if (this.#floor === undefined || after < this.#floor) return undefined
    return { events: slice(this.#events, after, upTo), deltas: slice(this.#deltas, after, upTo) }
  }

  /**
   * A writer in this process has committed an event that has changed nothing about state. Whether positions between are
   * missing need not be known: then the tail is read.
   */
  offer(row: StreamRow): void {
    if (row.streamOrdering <= this.#top) return
    if (this.#offered.size >= MAX_OFFERED) this.#offered.clear()
    this.#offered.set(row.streamOrdering, row)
  }

  /** Whether everything up to a position was offered, and now is part of the tail. */
  #takeOffered(upTo: number): boolean {
    if (this.#floor === undefined || upTo - this.#top > this.#offered.size) return false
    const rows: StreamRow[] = []
    for (let position = this.#top + 1; position <= upTo; position++) {
      const row = this.#offered.get(position)
      if (row === undefined) return false
      rows.push(row)
    }
    this.#events.push(...rows)
    this.#top = upTo
    for (const { streamOrdering } of rows) this.#offered.delete(streamOrdering)
    this.#trim()
    return true
  }

  async #read(upTo: number): Promise<void> {
    const after =
      this.#floor === undefined || upTo - this.#top > MAX_STEP ? Math.max(0, upTo - START_EVENTS) : this.#top
    const [events, deltas] = await this.#db.read('sync_tail', (q) =>
      Promise.all([
        this.#parts.timelines.listStream(q, after, upTo),
        this.#parts.deltas.listStream(q, after, upTo),
      ]),
    )
    if (after === this.#top && this.#floor !== undefined) {
      this.#events.push(...events)
      this.#deltas.push(...deltas)
    } else {
      this.#floor = after
      this.#events = events
      this.#deltas = deltas
    }
    this.#top = upTo
    for (const position of this.#offered.keys()) if (position <= upTo) this.#offered.delete(position)
    this.#trim()
  }

  /** Cut rarely, so that each event is moved a few times only. */
  #trim(): void {
    const { maxEvents } = this.#options
    if (this.#events.length <= maxEvents * 1.25) return
    this.#events = this.#events.slice(-maxEvents)
    const floor = (this.#events[0]?.streamOrdering ?? this.#top + 1) - 1
    this.#deltas = this.#deltas.slice(firstAfter(this.#deltas, floor))
    this.#floor = floor
  }
}

const NOTHING: TailSlice = { events: [], deltas: [] }

function slice<T extends Placed>(entries: readonly T[], after: number, upTo: number): readonly T[] {
  return entries.slice(firstAfter(entries, after), firstAfter(entries, upTo))
}

/** The index of the first entry after a position. */
function firstAfter(entries: readonly Placed[], position: number): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (entries[middle]!.streamOrdering <= position) low = middle + 1
    else high = middle
  }
  return low
}
