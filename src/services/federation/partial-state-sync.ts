import type { EventId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore } from '../../storage/stores/events.js'
import type { PartialStateRoom } from '../../storage/stores/partial-state.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { Logger } from '../../telemetry/logger.js'
import type { Clock } from '../../util/clock.js'
import { createDeferred } from '../../util/deferred.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { StateCompletion } from '../events/state-completion.js'
import type { RemoteStates } from './remote-states.js'

interface Parts {
  readonly rooms: RoomsStore
  readonly events: EventsStore
  readonly members: RoomMembersStore
  readonly partialRooms: PartialRooms
  readonly completion: StateCompletion
  readonly states: Pick<RemoteStates, 'after'>
  readonly clock: Clock
  readonly logger: Logger
}

/** What is being asked for of a room. */
interface Running {
  readonly work: Promise<void>
  readonly over: AbortController
}

const FIRST_PAUSE_MS = 1_000
const MAX_PAUSE_MS = 10 * 60_000
/** Servers that are asked in one round. */
const MAX_SERVERS = 20

/** Gets the members of rooms that were joined without them, one room at a time each, until somebody tells. */
export class PartialStateSync {
  readonly #db: Database
  readonly #parts: Parts
  readonly #running = new Map<number, Running>()
  readonly #stopping = new AbortController()

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  /** Goes on with what the last stop has left. */
  async start(): Promise<void> {
    const { partialRooms, rooms } = this.#parts
    await partialRooms.load()
    const nids = partialRooms.list().map(({ roomNid }) => roomNid)
    for (const room of (await rooms.getByNids(this.#db.reader, nids)).values()) this.begin(room)
  }

  /** Begins nothing any more and resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all([...this.#running.values()].map(({ work }) => work))
  }

  /** Gets the state of a room in the background. */
  begin(room: RoomRecord): void {
    if (this.#running.has(room.roomNid) || this.#stopping.signal.aborted) return
    const over = new AbortController()
    const work = this.#run(room, over.signal).finally(() => this.#running.delete(room.roomNid))
    this.#running.set(room.roomNid, { work, over })
  }

  /** Asks for nothing of a room any more, whose state stays as it is. Resolves when nothing that came is written either. */
  async giveUp({ roomNid }: RoomRecord): Promise<void> {
    if (this.#parts.partialRooms.isPartial(roomNid)) await this.#forget(roomNid)
    const running = this.#running.get(roomNid)
    running?.over.abort()
    await running?.work
  }

  /** Never rejects. */
  async #run(room: RoomRecord, over: AbortSignal): Promise<void> {
    const { partialRooms, logger, clock } = this.#parts
    const signal = AbortSignal.any([this.#stopping.signal, over])
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      const partial = partialRooms.get(room.roomNid)
      if (!partial) return
      try {
        if (await this.#isDeserted(room)) return
        const isDone = await this.#attempt(room, partial, over)
        // Where somebody has come in anew meanwhile, there is another state to ask for.
        if (isDone || partialRooms.get(room.roomNid)?.joinNid !== partial.joinNid) continue
      } catch (err) {
        if (!over.aborted)
          logger.warn({ err, room: room.roomId }, 'The state of a room could not be completed')
      }
      await clock.sleep(pauseMs, signal).catch(() => undefined)
    }
  }

  /** Nobody needs the members of a room that all of our users have left; who comes again brings the state anew. */
  async #isDeserted({ roomNid }: RoomRecord): Promise<boolean> {
    if (await this.#parts.members.hasLocalMember(this.#db.reader, roomNid)) return false
    await this.#forget(roomNid)
    return true
  }

  async #forget(roomNid: number): Promise<void> {
    await this.#db.write('give_up_state', (tx) => this.#parts.partialRooms.delete(tx, roomNid))
  }

  async #attempt(
    room: RoomRecord,
    { joinNid, servers }: PartialStateRoom,
    over: AbortSignal,
  ): Promise<boolean> {
    const { events, states, completion, logger } = this.#parts
    const join = (await events.getByNids(this.#db.reader, [joinNid])).get(joinNid)
    if (!join) throw new Error(`The join ${joinNid} of ${room.roomId} cannot be read`)
    const found: (readonly EventId[])[] = []
    for (const prev of join.event.prevEventIds) {
      const state = await this.#unlessStopped(states.after(room, prev, servers.slice(0, MAX_SERVERS), over))
      if (!state) return false
      found.push(state)
    }
    if (!(await completion.complete(room, join, found))) return false
    logger.info({ room: room.roomId }, 'The state of a room is whole')
    return true
  }

  /** Undefined when the server stops meanwhile: what others still say then is for the next start. */
  async #unlessStopped<T>(asking: Promise<T>): Promise<T | undefined> {
    const { signal } = this.#stopping
    const stopped = createDeferred<undefined>()
    const stop = (): void => stopped.resolve(undefined)
    signal.addEventListener('abort', stop, { once: true })
    asking.catch(() => undefined)
    try {
      return await Promise.race([asking, stopped.promise])
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}
