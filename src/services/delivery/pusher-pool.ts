import { setMaxListeners } from 'node:events'
import type { UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { PushersStore } from '../../storage/stores/pushers.js'
import type { StreamCursorsStore } from '../../storage/stores/stream-cursors.js'
import type { TimelinesStore } from '../../storage/stores/timelines.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { Clock, Timer } from '../../util/clock.js'
import { Semaphore } from '../../util/semaphore.js'
import type { EventTail } from '../events/event-tail.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'
import type { EventfulRoom, PusherAudience } from './pusher-audience.js'
import type { PushWork, UserPushes } from './user-pushes.js'

export interface PusherPoolDependencies {
  readonly db: Database
  readonly pushers: PushersStore
  readonly audience: PusherAudience
  readonly timelines: Pick<TimelinesStore, 'listStream'>
  readonly tail: Pick<EventTail, 'between'>
  readonly events: EventsStore
  readonly cursors: StreamCursorsStore
  readonly userPushes: Pick<UserPushes, 'run'>
  readonly clock: Clock
  /** The events stream. */
  readonly eventsPosition: () => number
  /** `push.jitter_delay`: pushes are put off by up to this long. */
  readonly jitterMs: number
  /** From 0 to 1. */
  readonly random: () => number
  readonly onError: (error: unknown) => void
}

const CURSOR = 'pushers'
/** Positions that are looked at together. */
const BATCH = 500
/** Users whose pushers are told at the same time. */
const CONCURRENCY = 200
/** Those to be tried again that are taken up together. */
const MAX_DUE = 500
/** So often at most it is written down how far all have got. */
const SAVE_MS = 5_000
const MAX_WAIT_MS = 60 * 60_000

interface Running {
  readonly done: Promise<void>
  next: PushWork | undefined
}

/**
 * Follows the events stream for all pushers: finds whom new events concern and has their pushers told. After a stop it
 * goes on where it was; those that could not be told have a time of their own to be tried again.
 */
export class PusherPool implements PositionSink {
  readonly #deps: PusherPoolDependencies
  readonly #slots = new Semaphore(CONCURRENCY)
  readonly #stopping = new AbortController()
  readonly #running = new Map<UserId, Running>()
  /** Parts of the stream whose users are being told, in order. */
  readonly #open: { readonly upTo: number; isDone: boolean }[] = []
  /** Users to be looked at though no event of the stream names them: invited, or they have read something. */
  readonly #named = new Set<UserId>()
  /** Up to where it is known whom the events concern... */
  #position = 0
  /** ...up to where all of them have been told or put off... */
  #told = 0
  /** ...and up to where that is written down. */
  #saved = 0
  #following: Promise<void> | undefined
  #retryTimer: Timer | undefined
  #saveTimer: Timer | undefined
  #isStarted = false

  constructor(deps: PusherPoolDependencies) {
    this.#deps = deps
    // Every request that is on its way listens.
    setMaxListeners(0, this.#stopping.signal)
  }

  /** Takes up what came since the last stop. */
  async start(): Promise<void> {
    const { db, cursors, audience, eventsPosition } = this.#deps
    await audience.load()
    this.#position = (await cursors.get(db.reader, CURSOR)) ?? eventsPosition()
    this.#told = this.#position
    this.#saved = this.#position
    this.#isStarted = true
    this.#follow()
    await this.#scheduleRetry()
  }

  /** Cuts off what runs: it is done again after the next start. */
  async stop(): Promise<void> {
    if (!this.#isStarted) return
    this.#stopping.abort()
    this.#retryTimer?.cancel()
    this.#saveTimer?.cancel()
    await this.#following
    await Promise.all([...this.#running.values()].map(({ done }) => done))
    await this.#save()
  }

  onNewPosition(stream: StreamName, hints: PositionHints): void {
    if (stream !== 'events' && stream !== 'receipts') return
    const { audience } = this.#deps
    audience.onNewPosition(stream, hints)
    if (!this.#isStarted || this.#stopping.signal.aborted) return
    for (const userId of audience.holdersAmong(hints.users ?? [])) this.#named.add(userId)
    if (stream === 'receipts' && this.#named.size === 0) return
    this.#follow()
  }

  /** Resolves when everything that is known has been told or put off. For tests. */
  async settle(): Promise<void> {
    while (this.#following !== undefined || this.#running.size > 0) {
      await this.#following
      await Promise.all([...this.#running.values()].map(({ done }) => done))
    }
  }

  #follow(): void {
    this.#following ??= this.#advance()
      .catch(this.#deps.onError)
      .finally(() => (this.#following = undefined))
  }

  async #advance(): Promise<void> {
    for (;;) {
      const upTo = Math.min(this.#deps.eventsPosition(), this.#position + BATCH)
      if (this.#stopping.signal.aborted || (upTo <= this.#position && this.#named.size === 0)) return
      const named = [...this.#named]
      this.#named.clear()
      const concerned = await this.#concerned(this.#position, upTo)
      for (const userId of named) {
        if (!concerned.has(userId)) concerned.set(userId, new Set())
      }
      const part = { upTo, isDone: false }
      this.#open.push(part)
      this.#position = Math.max(this.#position, upTo)
      const told = [...concerned].map(([userId, roomNids]) => this.#tell(userId, { upTo, roomNids }))
      void Promise.all(told).then(() => {
        // What was cut off by the stop has not been told.
        part.isDone = !this.#stopping.signal.aborted
        this.#closeDone()
      })
    }
  }

  /** By user the rooms in which there may be news. */
  async #concerned(after: number, upTo: number): Promise<Map<UserId, Set<number>>> {
    const { db, timelines, tail, events, audience } = this.#deps
    if (after >= upTo || audience.isEmpty) return new Map()
    const slice = await tail.between(after, upTo)
    const rows = slice?.events ?? (await timelines.listStream(db.reader, after, upTo))
    const stored = await events.getByNids(
      db.reader,
      rows.map(({ eventNid }) => eventNid),
    )
    const rooms = new Map<number, EventfulRoom>()
    for (const { eventNid, roomNid } of rows) {
      const event = stored.get(eventNid)
      if (event?.rejected !== null || event.softFailed) continue
      const notifies = event.notifies || (rooms.get(roomNid)?.notifies ?? false)
      rooms.set(roomNid, { roomId: event.event.roomId, roomNid, notifies })
    }
    return audience.concerned([...rooms.values()], { after, upTo })
  }

  /** One run of a user's at a time; what comes meanwhile makes one more. */
  #tell(userId: UserId, work: PushWork): Promise<void> {
    const running = this.#running.get(userId)
    if (running !== undefined) {
      running.next = running.next === undefined ? work : merge(running.next, work)
      return running.done
    }
    const entry: Running = { done: this.#runAll(userId, work), next: undefined }
    this.#running.set(userId, entry)
    return entry.done
  }

  async #runAll(userId: UserId, first: PushWork): Promise<void> {
    // Lets the caller write down that this runs.
    await Promise.resolve()
    let isPutOff = false
    try {
      for (let work: PushWork | undefined = first; work !== undefined;) {
        const current: PushWork = work
        if (await this.#slots.run(() => this.#runOne(userId, current))) isPutOff = true
        const entry = this.#running.get(userId)
        work = entry?.next
        if (entry !== undefined) entry.next = undefined
      }
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#deps.onError(error)
    } finally {
      this.#running.delete(userId)
    }
    if (isPutOff) await this.#scheduleRetry().catch(this.#deps.onError)
  }

  async #runOne(userId: UserId, work: PushWork): Promise<boolean> {
    const { signal } = this.#stopping
    if (signal.aborted) return false
    const { jitterMs, clock, random, userPushes } = this.#deps
    if (jitterMs > 0) await clock.sleep(jitterMs * random(), signal)
    return userPushes.run(userId, work, signal)
  }

  async #scheduleRetry(): Promise<void> {
    const { db, pushers, clock } = this.#deps
    const next = await pushers.nextRetry(db.reader)
    this.#retryTimer?.cancel()
    if (next === undefined || this.#stopping.signal.aborted) return
    const wait = Math.min(Math.max(next - clock.now(), 0), MAX_WAIT_MS)
    this.#retryTimer = clock.setTimeout(() => void this.#retryDue().catch(this.#deps.onError), wait)
  }

  async #retryDue(): Promise<void> {
    const { db, pushers, clock } = this.#deps
    const due = await pushers.listDue(db.reader, clock.now(), MAX_DUE)
    const users = new Set(due.map(({ userId }) => userId))
    const work = { upTo: this.#position, roomNids: undefined }
    await Promise.all([...users].map((userId) => this.#tell(userId, work)))
    await this.#scheduleRetry()
  }

  #closeDone(): void {
    for (let first = this.#open[0]; first?.isDone; first = this.#open[0]) {
      this.#told = first.upTo
      this.#open.shift()
    }
    if (this.#stopping.signal.aborted) return
    this.#saveTimer ??= this.#deps.clock.setTimeout(() => {
      this.#saveTimer = undefined
      this.#save().catch(this.#deps.onError)
    }, SAVE_MS)
  }

  async #save(): Promise<void> {
    const position = this.#told
    if (position <= this.#saved) return
    await this.#deps.db.write('save_pusher_cursor', (tx) => this.#deps.cursors.set(tx, CURSOR, position))
    this.#saved = position
  }
}

function merge(a: PushWork, b: PushWork): PushWork {
  const roomNids =
    a.roomNids === undefined || b.roomNids === undefined ? undefined : new Set([...a.roomNids, ...b.roomNids])
  return { upTo: Math.max(a.upTo, b.upTo), roomNids }
}
