import type { RoomId, UserId } from '../../protocol/ids.js'
import type { StreamToken } from '../../protocol/stream-token.js'
import type { StreamName } from '../../storage/streams/stream-names.js'
import type { Clock } from '../../util/clock.js'
import type { StreamPositions } from './stream-positions.js'

/** Whom a new position concerns. Users are woken by either: as members of a room, or by name. */
export interface PositionHints {
  readonly rooms?: readonly RoomId[]
  readonly users?: readonly UserId[]
}

/** What writers tell readers after a commit: that a stream has moved, never the data. */
export interface PositionSink {
  onNewPosition(stream: StreamName, hints: PositionHints): void
}

/** Why a wait is over: something happened that may concern the user, time ran out, the client went or the server stops. */
export type WaitOutcome = 'woken' | 'timeout' | 'aborted'

interface WatchedUser {
  readonly userId: UserId
  rooms: ReadonlySet<RoomId>
  readonly watches: Set<Watch>
}

/** Users who wait for nothing just now, but whose rooms stay indexed, since most come back at once. */
const MAX_IDLE_USERS = 1_000
const NO_ROOMS: ReadonlySet<RoomId> = new Set()

/**
 * Wakes those who wait for something new. Knows positions and who is in which room, no data and no database. Rooms are
 * indexed by user, not by waiting request: a wait costs nothing where a user's rooms have not changed since the last.
 */
export class Notifier implements PositionSink {
  readonly #clock: Clock
  readonly #positions: StreamPositions
  readonly #users = new Map<UserId, WatchedUser>()
  readonly #byRoom = new Map<RoomId, Set<WatchedUser>>()
  readonly #idle = new Set<WatchedUser>()
  #closed = false

  constructor(clock: Clock, positions: StreamPositions) {
    this.#clock = clock
    this.#positions = positions
  }

  /** Where all streams are now. */
  currentToken(): StreamToken {
    return this.#positions.current()
  }

  /** How many requests wait or are about to. */
  get watches(): number {
    let count = 0
    for (const { watches } of this.#users.values()) count += watches.size
    return count
  }

  /**
   * Begins to listen for a user; to be closed. Take `currentToken()` after this: what comes later than the token wakes
   * the watch, even when nobody waits at that moment.
   */
  watch(userId: UserId): Watch {
    let user = this.#users.get(userId)
    if (user === undefined) {
      user = { userId, rooms: NO_ROOMS, watches: new Set() }
      this.#users.set(userId, user)
    }
    this.#idle.delete(user)
    const watched = user
    const watch = new Watch(this.#clock, {
      follow: (rooms) => this.#follow(watched, rooms),
      close: () => this.#unwatch(watched, watch),
    })
    watched.watches.add(watch)
    if (this.#closed) watch.end()
    return watch
  }

  onNewPosition(_stream: StreamName, hints: PositionHints): void {
    for (const roomId of hints.rooms ?? []) {
      for (const user of this.#byRoom.get(roomId) ?? []) wake(user)
    }
    for (const userId of hints.users ?? []) {
      const user = this.#users.get(userId)
      if (user !== undefined) wake(user)
    }
  }

  /** The server stops: all who wait are answered, and nobody waits any more. */
  close(): void {
    this.#closed = true
    for (const { watches } of this.#users.values()) for (const watch of [...watches]) watch.end()
  }

  #follow(user: WatchedUser, rooms: ReadonlySet<RoomId>): void {
    if (user.rooms === rooms) return
    for (const roomId of user.rooms) if (!rooms.has(roomId)) this.#unindex(user, roomId)
    for (const roomId of rooms) {
      const members = this.#byRoom.get(roomId)
      if (members === undefined) this.#byRoom.set(roomId, new Set([user]))
      else members.add(user)
    }
    user.rooms = rooms
  }

  #unwatch(user: WatchedUser, watch: Watch): void {
    user.watches.delete(watch)
    if (user.watches.size > 0) return
    this.#idle.add(user)
    if (this.#idle.size <= MAX_IDLE_USERS) return
    const [oldest] = this.#idle
    if (oldest !== undefined) this.#forget(oldest)
  }

  #forget(user: WatchedUser): void {
    this.#idle.delete(user)
    this.#users.delete(user.userId)
    for (const roomId of user.rooms) this.#unindex(user, roomId)
  }

  #unindex(user: WatchedUser, roomId: RoomId): void {
    const members = this.#byRoom.get(roomId)
    members?.delete(user)
    if (members?.size === 0) this.#byRoom.delete(roomId)
  }
}

function wake(user: WatchedUser): void {
  for (const watch of user.watches) watch.wake()
}

interface WatchOwner {
  readonly follow: (rooms: ReadonlySet<RoomId>) => void
  readonly close: () => void
}

/** One request that listens for what concerns a user. */
export class Watch {
  readonly #clock: Clock
  readonly #owner: WatchOwner
  #woken = false
  #ended = false
  #settle: ((outcome: WaitOutcome) => void) | undefined

  constructor(clock: Clock, owner: WatchOwner) {
    this.#clock = clock
    this.#owner = owner
  }

  /** Forgets what has happened so far: the next token covers it. */
  rearm(): void {
    this.#woken = false
  }

  /** The rooms whose news concern the user from now on, for all watches of the user. The set must not be changed. */
  follow(rooms: ReadonlySet<RoomId>): void {
    this.#owner.follow(rooms)
  }

  /** Resolves when something has happened since `rearm`, after `timeoutMs`, or when the signal aborts. One at a time. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<WaitOutcome> {
    if (signal.aborted || this.#ended) return Promise.resolve('aborted')
    if (this.#woken) return Promise.resolve('woken')
    if (timeoutMs <= 0) return Promise.resolve('timeout')
    return new Promise((resolve) => {
      const settle = (outcome: WaitOutcome): void => {
        this.#settle = undefined
        timer.cancel()
        signal.removeEventListener('abort', onAbort)
        resolve(outcome)
      }
      const onAbort = (): void => {
        settle('aborted')
      }
      const timer = this.#clock.setTimeout(() => {
        settle('timeout')
      }, timeoutMs)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#settle = settle
    })
  }

  wake(): void {
    this.#woken = true
    this.#settle?.('woken')
  }

  /** The server stops. */
  end(): void {
    this.#ended = true
    this.#settle?.('aborted')
  }

  close(): void {
    this.#owner.close()
  }
}
