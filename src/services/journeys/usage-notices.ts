import { parseEventId, type EventId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import type { UsageLimits } from '../accounts/usage-limits.js'
import type { RoomState } from '../events/room-state.js'
import type { ServerNotices } from './server-notices.js'

export interface UsageNoticesDependencies {
  readonly db: Database
  readonly limits: Pick<UsageLimits, 'isFull'>
  readonly notices: Pick<ServerNotices, 'findRoom' | 'send'>
  readonly roomState: Pick<RoomState, 'getStateEvent'>
  readonly events: Pick<EventsStore, 'getByIds'>
  readonly onError: (error: unknown) => void
  readonly options: {
    /** `mau_limit_alerting`; without it, what was said before is taken back. */
    readonly tells: boolean
    readonly adminContact: string | undefined
  }
}

const PINNED = 'm.room.pinned_events'
const LIMIT_REACHED = 'm.server_notice.usage_limit_reached'
/** Pinned events that are looked at. */
const MAX_PINNED = 100

/**
 * Tells people that the server has reached its limit of users, by a notice that is pinned until there is room again.
 * https://spec.matrix.org/latest/client-server-api/#server-notices
 */
export class UsageNotices {
  readonly #deps: UsageNoticesDependencies
  readonly #locks = new KeyedMutex()
  readonly #running = new Set<Promise<void>>()

  constructor(deps: UsageNoticesDependencies) {
    this.#deps = deps
  }

  /** Somebody has been counted as active, and may have to be told. Returns at once and never fails. */
  onCounted(userId: UserId): void {
    const running = this.#locks
      .run(userId, () => this.#tell(userId))
      .catch((error: unknown) => {
        this.#deps.onError(error)
      })
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Resolves when nobody is being told any more. */
  async settle(): Promise<void> {
    await Promise.all(this.#running)
  }

  async #tell(userId: UserId): Promise<void> {
    const { limits, notices, options } = this.#deps
    const isFull = options.tells && (await limits.isFull())
    const roomId = await notices.findRoom(userId)
    const pinned = roomId === undefined ? [] : await this.#pinnedIn(roomId)
    const said = await this.#limitNotices(pinned)
    if (isFull === said.size > 0) return
    const others = pinned.filter((eventId) => !said.has(eventId))
    const ours = isFull ? [await this.#say(userId)] : []
    const content = { pinned: [...others, ...ours] }
    await notices.send(userId, { type: PINNED, stateKey: '', content })
  }

  #say(userId: UserId): Promise<EventId> {
    const { notices, options } = this.#deps
    return notices.send(userId, {
      type: 'm.room.message',
      content: {
        msgtype: 'm.server_notice',
        server_notice_type: LIMIT_REACHED,
        body: 'This server has reached its limit of monthly active users: some people cannot use it',
        limit_type: 'monthly_active_user',
        ...(options.adminContact !== undefined && { admin_contact: options.adminContact }),
      },
    })
  }

  async #pinnedIn(roomId: RoomId): Promise<EventId[]> {
    const state = await this.#deps.roomState.getStateEvent(roomId, PINNED, '')
    const pinned = state?.event.content['pinned']
    if (!Array.isArray(pinned)) return []
    return pinned
      .slice(0, MAX_PINNED)
      .flatMap((eventId) => (typeof eventId === 'string' ? (parseEventId(eventId) ?? []) : []))
  }

  async #limitNotices(pinned: readonly EventId[]): Promise<Set<EventId>> {
    if (pinned.length === 0) return new Set()
    const { db, events } = this.#deps
    const found = await events.getByIds(db.reader, pinned)
    return new Set([...found].flatMap(([eventId, stored]) => (isLimitNotice(stored) ? [eventId] : [])))
  }
}

function isLimitNotice({ event }: StoredEvent): boolean {
  return event.content['server_notice_type'] === LIMIT_REACHED
}
