import { forbidden } from '../../protocol/errors.js'
import type { RoomId, UserId } from '../../protocol/ids.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { Requester } from '../accounts/requester.js'
import type { RoomState } from '../events/room-state.js'
import type { PositionHints, PositionSink } from '../streams/notifier.js'
import type { ActivitySink } from './presence.js'

export interface TypingDependencies {
  readonly clock: Clock
  readonly roomState: Pick<RoomState, 'getMembership'>
  /** Whether a user whose membership is not known may be in a room whose members are not all known. */
  readonly mayBeIn?: ((roomId: RoomId, userId: UserId) => Promise<boolean>) | undefined
  readonly positions: PositionSink
  readonly activity: ActivitySink
  /** Told when somebody types, still types, or does not any more: for users of other servers, too. */
  readonly onChange?: ((roomId: RoomId, userId: UserId, typing: boolean) => void) | undefined
}

const DEFAULT_TIMEOUT_MS = 30_000
const MAX_TIMEOUT_MS = 120_000
/** Other servers say again who still types. */
const REMOTE_TIMEOUT_MS = 60_000
/** Rooms in which nobody types any more are remembered for this long after the last change. */
const REMEMBER_MS = 10 * 60_000

interface TypingRoom {
  readonly users: Map<UserId, Timer>
  /** The position of the last change, and when it was. */
  serial: number
  changedTs: number
}

const NO_ROOMS: ReadonlySet<RoomId> = new Set()

/**
 * Who is typing in which room, in memory. https://spec.matrix.org/latest/client-server-api/#typing-notifications
 * Positions grow by one with each change from the time of the start in milliseconds, so that they grow across restarts.
 */
export class Typing {
  readonly #deps: TypingDependencies
  /** In the order of their last changes. */
  readonly #rooms = new Map<RoomId, TypingRoom>()
  #serial: number

  constructor(deps: TypingDependencies) {
    this.#deps = deps
    this.#serial = deps.clock.now()
  }

  /**
   * Says that a user has begun or stopped to type, for `timeoutMs` (30 seconds unless given, at most two minutes).
   * Throws `M_FORBIDDEN` for other users than the requester and for those who are not in the room.
   */
  async set(
    requester: Requester,
    room: { readonly roomId: RoomId; readonly userId: UserId },
    { typing, timeoutMs = DEFAULT_TIMEOUT_MS }: { typing: boolean; timeoutMs?: number | undefined },
  ): Promise<void> {
    const { roomId, userId } = room
    if (userId !== requester.userId) throw forbidden('Cannot set the typing state of other users')
    const member = await this.#deps.roomState.getMembership(roomId, userId)
    if (member?.membership !== 'join') throw forbidden('You are not in this room')
    this.#deps.activity.onActivity(requester)
    if (typing) this.#start(roomId, userId, Math.min(Math.max(timeoutMs, 0), MAX_TIMEOUT_MS))
    else this.#stop(roomId, userId)
  }

  /** A user of another server types, still types, or does not any more; means nothing for those not in the room. */
  async receive(roomId: RoomId, userId: UserId, typing: boolean): Promise<void> {
    const member = await this.#deps.roomState.getMembership(roomId, userId)
    const isIn = member ? member.membership === 'join' : await this.#deps.mayBeIn?.(roomId, userId)
    if (isIn !== true) return
    if (typing) this.#start(roomId, userId, REMOTE_TIMEOUT_MS)
    else this.#stop(roomId, userId)
  }

  /** Who types in a room now, in the order in which they began. */
  usersTyping(roomId: RoomId): UserId[] {
    return [...(this.#rooms.get(roomId)?.users.keys() ?? [])]
  }

  /** Whether somebody types in a room, or did a short while ago. */
  hasNews(roomId: RoomId): boolean {
    return this.#rooms.has(roomId)
  }

  /** The position of the last change. */
  position(): number {
    return this.#serial
  }

  /** Rooms whose typing users changed in `(since, upTo]`, or later. */
  changedRooms(since: number, upTo: number): ReadonlySet<RoomId> {
    if (since >= upTo || since >= this.#serial) return NO_ROOMS
    const changed = new Set<RoomId>()
    for (const [roomId, room] of this.#rooms) if (room.serial > since) changed.add(roomId)
    return changed
  }

  /** Somebody's membership of these rooms may have changed: who is in none of them any more no longer types there. */
  async onMembershipChange({ rooms = [], users = [] }: PositionHints): Promise<void> {
    for (const roomId of rooms) {
      const typing = this.#rooms.get(roomId)?.users
      if (typing === undefined || typing.size === 0) continue
      for (const userId of users) {
        if (!typing.has(userId)) continue
        const member = await this.#deps.roomState.getMembership(roomId, userId)
        if (member?.membership !== 'join') this.#stop(roomId, userId)
      }
    }
  }

  /** Forgets everything; no timer is left. */
  stop(): void {
    for (const { users } of this.#rooms.values()) for (const timer of users.values()) timer.cancel()
    this.#rooms.clear()
  }

  #start(roomId: RoomId, userId: UserId, timeoutMs: number): void {
    const timer = this.#deps.clock.setTimeout(() => this.#stop(roomId, userId), timeoutMs)
    this.#deps.onChange?.(roomId, userId, true)
    const users = this.#rooms.get(roomId)?.users
    const previous = users?.get(userId)
    if (previous !== undefined) {
      previous.cancel()
      users?.set(userId, timer)
      return
    }
    this.#change(roomId, (typing) => typing.set(userId, timer))
  }

  #stop(roomId: RoomId, userId: UserId): void {
    const timer = this.#rooms.get(roomId)?.users.get(userId)
    if (timer === undefined) return
    timer.cancel()
    this.#deps.onChange?.(roomId, userId, false)
    this.#change(roomId, (typing) => typing.delete(userId))
  }

  #change(roomId: RoomId, change: (users: Map<UserId, Timer>) => void): void {
    const now = this.#deps.clock.now()
    const room = this.#rooms.get(roomId) ?? { users: new Map<UserId, Timer>(), serial: 0, changedTs: now }
    change(room.users)
    room.serial = ++this.#serial
    room.changedTs = now
    this.#rooms.delete(roomId)
    this.#rooms.set(roomId, room)
    this.#forgetOld(now)
    this.#deps.positions.onNewPosition('typing', { rooms: [roomId] })
  }

  #forgetOld(now: number): void {
    for (const [roomId, room] of this.#rooms) {
      if (room.changedTs > now - REMEMBER_MS) return
      if (room.users.size === 0) this.#rooms.delete(roomId)
    }
  }
}
