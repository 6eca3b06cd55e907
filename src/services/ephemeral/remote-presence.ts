import { parseUserId, serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { PresenceRecord, PresenceState } from '../../storage/stores/presence.js'
import type { Clock, Timer } from '../../util/clock.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { Presence } from './presence.js'

interface Dependencies {
  readonly db: Database
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
const RECHECK_MS = 3_000
const MAX_UNKNOWN = 1_000
const MAX_PUSHES = 1_000
const MAX_STATUS_LENGTH = 4_096
const STATES: ReadonlySet<unknown> = new Set<PresenceState>(['online', 'unavailable', 'offline'])

/** Presence of other servers' users. https://spec.matrix.org/latest/server-server-api/#presence */
export class RemotePresence {
  readonly #deps: Dependencies
  /** Who is not offline: when they are unless something is heard. */
  readonly #expiries = new Map<UserId, number>()
  #timer: Timer | undefined
  /** Of users who are in no room of ours yet. */
  readonly #unknown = new Map<UserId, PresenceRecord>()
  #recheck: Timer | undefined
  #isStopped = false

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** Those who were online when the server stopped have the usual time. */
  start(): void {
    const { presence, clock, isRemote } = this.#deps
    for (const userId of presence.listPresent()) {
      if (isRemote(userId)) this.#expiries.set(userId, clock.now() + EXPIRY_MS)
    }
    this.#schedule()
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#recheck?.cancel()
  }

  /** Takes in `m.presence`. What is about users of other servers than `origin` is left alone. */
  async onPresence(origin: ServerName, content: JsonObject): Promise<void> {
    const push = Array.isArray(content['push']) ? content['push'].slice(0, MAX_PUSHES) : []
    const now = this.#deps.clock.now()
    const records = push.flatMap((said) => parsePresence(origin, said, now))
    for (const record of await this.#takeShared(records)) this.#keep(record)
  }

  /** Takes what is about users in our rooms; gives the rest. */
  async #takeShared(records: readonly PresenceRecord[]): Promise<PresenceRecord[]> {
    const sharing = await this.#deps.filterSharing(records.map(({ userId }) => userId))
    const now = this.#deps.clock.now()
    for (const record of records) if (sharing.has(record.userId)) this.#take(record, now)
    return records.filter(({ userId }) => !sharing.has(userId))
  }

  /** Servers tell it to those who come into a room, who may learn of that later: it is looked at once more. */
  #keep(record: PresenceRecord): void {
    if (this.#isStopped || this.#unknown.size >= MAX_UNKNOWN) return
    this.#unknown.set(record.userId, record)
    this.#recheck ??= this.#deps.clock.setTimeout(() => {
      const records = [...this.#unknown.values()]
      this.#recheck = undefined
      this.#unknown.clear()
      this.#takeShared(records).catch(this.#deps.onError)
    }, RECHECK_MS)
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
