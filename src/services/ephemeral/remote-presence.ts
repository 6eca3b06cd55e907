import { parseUserId, serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { PresenceRecord, PresenceState } from '../../storage/stores/presence.js'
import type { Clock, Timer } from '../../util/clock.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import { DelayedRuns } from '../tasks/delayed-runs.js'
import type { Presence } from './presence.js'

interface Dependencies {
  readonly clock: Clock
  readonly presence: Pick<Presence, 'setRemote' | 'listPresent'>
  /** Who of these is in a room with somebody of this server. */
  readonly filterSharing: (userIds: readonly UserId[]) => Promise<ReadonlySet<UserId>>
  readonly isRemote: (userId: UserId) => boolean
  readonly onError: (error: unknown) => void
}

/** Who is online and of whom nothing is heard for so long is offline: servers say it again before. */
const EXPIRY_MS = 30 * 60_000
const SWEEP_MS = 60_000
/** How long, and of how many people, what is told of them is kept who are in no room of ours. */
const UNKNOWN_MS = 10_000
const MAX_UNKNOWN = 1_000
/** Joins that come together are one reason to look again. */
const LOOK_AGAIN_MS = 10
const MAX_PUSHES = 1_000
const MAX_STATUS_LENGTH = 4_096
const STATES: ReadonlySet<unknown> = new Set<PresenceState>(['online', 'unavailable', 'offline'])

/** What a server has said of a user, and when. */
interface HeardPresence {
  readonly record: PresenceRecord
  readonly at: number
}

/** Presence of other servers' users. https://spec.matrix.org/latest/server-server-api/#presence */
export class RemotePresence {
  readonly #deps: Dependencies
  /** Who is not offline: when they are unless something is heard. */
  readonly #expiries = new Map<UserId, number>()
  #timer: Timer | undefined
  /** The last of users who are in no room of ours yet, in the order in which it came. */
  readonly #unknown = new Map<UserId, HeardPresence>()
  readonly #lookAgain: DelayedRuns

  constructor(deps: Dependencies) {
    this.#deps = deps
    const { clock, onError } = deps
    const run = (): Promise<void> => this.#takeShared([...this.#unknown.values()])
    this.#lookAgain = new DelayedRuns({ clock, onError, delayMs: LOOK_AGAIN_MS, run })
  }

  /** Those who were online when the server stopped have the usual time. */
  start(): void {
    const { presence, clock, isRemote } = this.#deps
    for (const userId of presence.listPresent()) {
      if (isRemote(userId)) this.#expiries.set(userId, clock.now() + EXPIRY_MS)
    }
    this.#schedule()
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#lookAgain.stop()
  }

  /** Somebody has come into a room: it may be whom a server has told of before that was known here. */
  onJoin(): void {
    this.#forgetUnknown()
    if (this.#unknown.size > 0) this.#lookAgain.schedule()
  }

  /** Takes in `m.presence`. What is about users of other servers than `origin` is left alone. */
  async onPresence(origin: ServerName, content: JsonObject): Promise<void> {
    const push = Array.isArray(content['push']) ? content['push'].slice(0, MAX_PUSHES) : []
    const now = this.#deps.clock.now()
    const heard = push.flatMap((said) =>
      parsePresence(origin, said, now).map((record) => ({ record, at: now })),
    )
    // Kept first: servers tell at once of whom they see coming into a room, and that may be known here any moment.
    for (const one of heard) {
      this.#unknown.delete(one.record.userId)
      this.#unknown.set(one.record.userId, one)
    }
    await this.#takeShared(heard)
    this.#forgetUnknown()
  }

  /** Takes what is about users in our rooms, where nothing else has been heard of them since. */
  async #takeShared(heard: readonly HeardPresence[]): Promise<void> {
    const sharing = await this.#deps.filterSharing(heard.map(({ record }) => record.userId))
    const now = this.#deps.clock.now()
    for (const one of heard) {
      const { userId } = one.record
      if (!sharing.has(userId) || this.#unknown.get(userId) !== one) continue
      this.#unknown.delete(userId)
      this.#take(one.record, now)
    }
  }

  #forgetUnknown(): void {
    const since = this.#deps.clock.now() - UNKNOWN_MS
    for (const [userId, { at }] of this.#unknown) {
      if (at > since && this.#unknown.size <= MAX_UNKNOWN) return
      this.#unknown.delete(userId)
    }
  }

  #take(record: PresenceRecord, now: number): void {
    if (record.state === 'offline') this.#expiries.delete(record.userId)
    else this.#expiries.set(record.userId, now + EXPIRY_MS)
    this.#deps.presence.setRemote(record)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#expiries.size === 0) return
    this.#timer = this.#deps.clock.setTimeout(() => {
      this.#timer = undefined
      this.#sweep()
      this.#schedule()
    }, SWEEP_MS)
  }

  #sweep(): void {
    const now = this.#deps.clock.now()
    for (const [userId, expiry] of this.#expiries) {
      if (expiry > now) continue
      this.#expiries.delete(userId)
      this.#deps.presence.setRemote({
        userId,
        state: 'offline',
        statusMsg: undefined,
        lastActiveTs: expiry - EXPIRY_MS,
        currentlyActive: false,
      })
    }
  }
}

function parsePresence(origin: ServerName, said: JsonValue, now: number): PresenceRecord[] {
  if (!isJsonObject(said) || typeof said['user_id'] !== 'string') return []
  const userId = parseUserId(said['user_id'])
  const { presence: state, status_msg: status, last_active_ago: ago } = said
  if (userId === undefined || serverNameOf(userId) !== origin || !STATES.has(state)) return []
  const isAgo = typeof ago === 'number' && Number.isFinite(ago) && ago >= 0
  return [
    {
      userId,
      state: state as PresenceState,
      statusMsg: parseStatus(status),
      lastActiveTs: isAgo ? Math.max(0, Math.floor(now - ago)) : now,
      currentlyActive: state === 'online' && said['currently_active'] === true,
    },
  ]
}

function parseStatus(status: JsonValue | undefined): string | undefined {
  if (typeof status !== 'string' || status === '') return undefined
  return status.slice(0, MAX_STATUS_LENGTH).replaceAll('\u0000', '').toWellFormed()
}
