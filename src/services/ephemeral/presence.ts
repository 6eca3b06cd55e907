import { forbidden, notFound } from '../../protocol/errors.js'
import type { UserId } from '../../protocol/ids.js'
import type { Database, Query } from '../../storage/database.js'
import type { PresenceRecord, PresenceState, PresenceStore } from '../../storage/stores/presence.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import { Batcher } from '../../util/batcher.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { PositionSink } from '../streams/notifier.js'
import { PresenceLog } from './presence-log.js'
import {
  checkPresence,
  derivePresence,
  forgetIdle,
  isSamePresence,
  neverSeen,
  presenceContent,
  UNTRACKED_TIMES,
  type DevicePresence,
  type PresenceTimes,
} from './presence-state.js'

/** Learns that a user has done something. */
export interface ActivitySink {
  onActivity(requester: Pick<Requester, 'userId' | 'deviceId'>): void
}

export interface PresenceOptions {
  /** `presence.enabled`; when false, everybody is offline and nobody is told anything. */
  readonly enabled: boolean
  /** False for `presence.enabled: untracked`: only what users set themselves counts, not their syncs and activity. */
  readonly tracked: boolean
  /** `presence.include_offline_users_on_sync`: a client that begins is told of those who are offline, too. */
  readonly tellsOffline?: boolean
  readonly times: PresenceTimes
}

export interface PresenceDependencies {
  readonly db: Database
  readonly presence: PresenceStore
  readonly streamIds: Pick<StreamIdGenerator, 'allocate' | 'position'>
  readonly positions: PositionSink
  readonly clock: Clock
  readonly onError: (error: unknown) => void
  /** Whether a user is said to be of this server, and is not. */
  readonly isUnknown?: ((userId: UserId) => Promise<boolean>) | undefined
  /** Users of other servers, whose presence their servers tell. */
  readonly isRemote?: ((userId: UserId) => boolean) | undefined
  readonly options: PresenceOptions
}

/** Positions: after `since` (undefined: everybody's presence as it is now), up to and including `upTo`. */
export interface PresenceRange {
  readonly since: number | undefined
  readonly upTo: number
}

interface UserPresence {
  readonly userId: UserId
  readonly devices: Map<string, DevicePresence>
  /** What others were told, or are about to be. */
  record: PresenceRecord
  /** When it has to be reviewed, and when the timer rings; Infinity: never. */
  due: number
  timerAt: number
  timer: Timer | undefined
}

/** For those who act without a device. */
const NO_DEVICE = ''
/** Of how many people a client that begins is told, where it is told of those who are offline. */
const MAX_TOLD = 10_000
/** Changes that are stored at once. */
const MAX_BATCH = 500
const NOTHING = (): void => undefined

/**
 * Who is online. States follow from what devices do and say, in memory; each change that others are to see is stored at
 * a position of the stream. https://spec.matrix.org/latest/client-server-api/#presence
 */
export class Presence implements ActivitySink {
  readonly #deps: PresenceDependencies
  /** Everybody who was online since the start. */
  readonly #users = new Map<UserId, UserPresence>()
  readonly #log = new PresenceLog()
  readonly #changes = new Batcher<UserId>((userIds) => this.#store(userIds), { maxItems: MAX_BATCH })
  /** The latest change of those whose changes are not all stored. */
  readonly #unstored = new Map<UserId, Promise<void>>()
  readonly #startPosition: number
  #stopped = false

  constructor(deps: PresenceDependencies) {
    this.#deps = deps
    this.#startPosition = deps.streamIds.position()
  }

  /**
   * Takes up those who were online when the server stopped, who have the usual time to come back, and the status
   * messages of others.
   */
  async start(): Promise<void> {
    const { db, presence, clock, options } = this.#deps
    if (!options.enabled) return
    for (const record of await presence.listForStart(db.reader)) {
      if (this.#users.has(record.userId)) continue
      const user = this.#add(record)
      if (record.state === 'offline' || this.#deps.isRemote?.(record.userId) === true) continue
      user.devices.set(NO_DEVICE, {
        declared: record.state,
        lastActiveTs: record.lastActiveTs,
        lastSyncTs: clock.now(),
        openSyncs: 0,
      })
      this.#review(user)
    }
  }

  /** Stores what is to be stored; no timer is left. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const user of this.#users.values()) user.timer?.cancel()
    await this.drain()
  }

  /** Resolves when everything that others are to see is stored. */
  async drain(): Promise<void> {
    await this.#changes.drain()
  }

  /**
   * Resolves when what a user has changed so far is stored, or could not be. A sync waits for it, or the change it made
   * itself would be news for the next one.
   */
  async whenStored(userId: UserId): Promise<void> {
    await this.#unstored.get(userId)
  }

  /**
   * A sync has begun: the device is there until it ends and a while longer. Call the result when the sync ends. A client
   * that sets its presence to offline does not want to be seen. Another state than the one before counts as activity
   * when it is `online`.
   */
  onSync(requester: Pick<Requester, 'userId' | 'deviceId'>, setPresence: PresenceState): () => void {
    const { enabled, tracked } = this.#deps.options
    if (!enabled || !tracked || setPresence === 'offline') return NOTHING
    const user = this.#userOf(requester.userId)
    const device = this.#deviceOf(user, requester)
    if (device.declared !== setPresence && setPresence === 'online')
      device.lastActiveTs = this.#deps.clock.now()
    device.declared = setPresence
    device.openSyncs += 1
    device.lastSyncTs = this.#deps.clock.now()
    this.#review(user)
    let isOpen = true
    return () => {
      if (!isOpen) return
      isOpen = false
      device.openSyncs -= 1
      device.lastSyncTs = this.#deps.clock.now()
      if (!this.#stopped) this.#review(user)
    }
  }

  /** The user has done something: an idle one is online again. Means nothing for those who are offline on purpose. */
  onActivity(requester: Pick<Requester, 'userId' | 'deviceId'>): void {
    const { enabled, tracked } = this.#deps.options
    if (!enabled || !tracked) return
    const user = this.#userOf(requester.userId)
    const device = this.#deviceOf(user, requester)
    device.lastActiveTs = this.#deps.clock.now()
    if (device.declared === 'unavailable') device.declared = 'online'
    this.#review(user)
  }

  /**
   * Sets the requester's state and status message; without a message there is none any more. Throws `M_FORBIDDEN` for
   * other users, `M_INVALID_PARAM` for an unknown state, `M_TOO_LARGE`.
   */
  set(
    requester: Requester,
    userId: UserId,
    { state, statusMsg }: { state: string; statusMsg: string | undefined },
  ): void {
    if (userId !== requester.userId) throw forbidden('Cannot set the presence of other users')
    const declared = checkPresence(state, statusMsg)
    if (!this.#deps.options.enabled) return
    const user = this.#userOf(userId)
    const device = this.#deviceOf(user, requester)
    const now = this.#deps.clock.now()
    device.declared = declared
    device.lastSyncTs = now
    if (declared === 'online') device.lastActiveTs = now
    this.#review(user, { statusMsg })
  }

  /**
   * The presence of a user as `GET /presence` shows it. Throws `M_FORBIDDEN` when the requester is in no room with the
   * user, `M_NOT_FOUND` for users who do not exist.
   */
  async get(requester: Requester, userId: UserId): Promise<JsonObject> {
    const { db, presence, clock, options } = this.#deps
    const isOwn = userId === requester.userId
    if (!isOwn && !(await presence.listSharing(db.reader, requester.userId, [userId])).has(userId)) {
      if (await this.#deps.isUnknown?.(userId)) throw notFound('No such user')
      throw forbidden('You are not allowed to see their presence')
    }
    if (!options.enabled) return { presence: 'offline' }
    const user = this.#users.get(userId)
    const record = user ? this.#current(user) : (await presence.getMany(db.reader, [userId]))[0]
    return record ? presenceContent(record, clock.now()) : { presence: 'offline' }
  }

  /** The presence of a user of another server, as that server tells it. */
  setRemote(record: PresenceRecord): void {
    if (!this.#deps.options.enabled || this.#stopped) return
    const user = this.#userOf(record.userId)
    const before = user.record
    user.record = record
    if (!isSamePresence(record, before)) this.#markChanged(record.userId)
  }

  /** A user's presence as it is now, as others see it. In memory. */
  contentOf(userId: UserId): JsonObject {
    const user = this.#users.get(userId)
    return user ? presenceContent(this.#current(user), this.#deps.clock.now()) : { presence: 'offline' }
  }

  /** The `m.presence` event of each of these users, as it is now: of those who are offline, too. In memory. */
  listStates(userIds: readonly UserId[]): JsonObject[] {
    if (!this.#deps.options.enabled) return []
    return userIds.map((userId) => ({ type: 'm.presence', sender: userId, content: this.contentOf(userId) }))
  }

  /** Of people who have come into a room with a user those whose presence is their business. */
  async filterVisible(q: Query, userId: UserId, others: readonly UserId[]): Promise<readonly UserId[]> {
    const { presence } = this.#deps
    if (!presence.hasExcludedRooms || others.length === 0) return others
    const visible = await presence.listSharing(q, userId, others)
    return others.filter((other) => visible.has(other))
  }

  /**
   * The `m.presence` event of each of those people who are not in a room with the user yet: offline whether they are or
   * not, since that is not the user's business.
   */
  async listStrangers(q: Query, userId: UserId, others: readonly UserId[]): Promise<JsonObject[]> {
    if (!this.#deps.options.enabled) return []
    const known = await this.#deps.presence.listSharing(q, userId, others)
    const strangers = others.filter((other) => !known.has(other))
    return strangers.map((sender) => ({ type: 'm.presence', sender, content: { presence: 'offline' } }))
  }

  /** Everybody who is not offline. In memory. */
  listPresent(): UserId[] {
    const present = [...this.#users.values()].filter(({ record }) => record.state !== 'offline')
    return present.map(({ userId }) => userId)
  }

  /** Whose presence changed in a range of positions. In memory. */
  changedUsers({ since, upTo }: PresenceRange): UserId[] {
    if (!this.#deps.options.enabled || (since !== undefined && since >= upTo)) return []
    if (since !== undefined && since >= this.#startPosition) return this.#log.changedUsers(since, upTo)
    const userIds = new Set(this.listPresent())
    // What changed before the start is not remembered, but only those can have changed who were not offline then.
    for (const userId of since === undefined ? [] : this.#log.changedUsers(since, upTo)) userIds.add(userId)
    return [...userIds]
  }

  /**
   * The `m.presence` events of those of `userIds` whose presence changed in the range; without `since` of those who are
   * not offline. In memory: asks nothing of the database.
   */
  listChanges(_q: Query, range: PresenceRange, userIds: Iterable<UserId>): Promise<JsonObject[]> {
    const changed = this.changedUsers(range)
    if (changed.length === 0) return Promise.resolve([])
    const wanted = new Set(userIds)
    return Promise.resolve(this.#eventsOf(changed.filter((userId) => wanted.has(userId))))
  }

  /** As `listChanges`, of everybody who is in a room with the user, and of the user: one statement at most. */
  async listVisibleChanges(q: Query, range: PresenceRange, userId: UserId): Promise<JsonObject[]> {
    if (range.since === undefined && this.#deps.options.tellsOffline === true) {
      return this.listStates(await this.#deps.presence.listAllSharing(q, userId, MAX_TOLD))
    }
    const changed = this.changedUsers(range)
    const others = changed.filter((other) => other !== userId)
    const visible = await this.#deps.presence.listSharing(q, userId, others)
    return this.#eventsOf(changed.filter((other) => other === userId || visible.has(other)))
  }

  #eventsOf(userIds: readonly UserId[]): JsonObject[] {
    const now = this.#deps.clock.now()
    return userIds.flatMap((userId) => {
      const user = this.#users.get(userId)
      if (user === undefined) return []
      return [{ type: 'm.presence', sender: userId, content: presenceContent(this.#current(user), now) }]
    })
  }

  /** What others were told, with the time of the last activity as it is now. */
  #current({ record, devices }: UserPresence): PresenceRecord {
    let { lastActiveTs } = record
    for (const device of devices.values()) lastActiveTs = Math.max(lastActiveTs, device.lastActiveTs)
    return { ...record, lastActiveTs }
  }

  #userOf(userId: UserId): UserPresence {
    return this.#users.get(userId) ?? this.#add(neverSeen(userId))
  }

  #add(record: PresenceRecord): UserPresence {
    const user: UserPresence = {
      userId: record.userId,
      devices: new Map(),
      record,
      due: Infinity,
      timerAt: Infinity,
      timer: undefined,
    }
    this.#users.set(record.userId, user)
    return user
  }

  #deviceOf(user: UserPresence, { deviceId }: Pick<Requester, 'deviceId'>): DevicePresence {
    const key = deviceId ?? NO_DEVICE
    let device = user.devices.get(key)
    if (device === undefined) {
      device = { declared: 'offline', lastActiveTs: 0, lastSyncTs: 0, openSyncs: 0 }
      user.devices.set(key, device)
    }
    return device
  }

  /** Derives the user's presence anew; tells others when they are to see a change. */
  #review(user: UserPresence, change?: { readonly statusMsg: string | undefined }): void {
    const { clock, options } = this.#deps
    const { record } = user
    const now = clock.now()
    const derived = derivePresence(user.devices.values(), now, {
      lastActiveTs: record.lastActiveTs,
      times: options.tracked ? options.times : UNTRACKED_TIMES,
    })
    const { state, lastActiveTs, currentlyActive, until } = derived
    const statusMsg = change ? change.statusMsg : record.statusMsg
    user.record = { userId: user.userId, state, statusMsg, lastActiveTs, currentlyActive }
    if (state === 'offline') forgetIdle(user.devices)
    this.#wakeAt(user, until ?? Infinity)
    if (!isSamePresence(user.record, record)) this.#markChanged(user.userId)
  }

  /** One timer per user: one that rings too early is set anew, so that most reviews leave it alone. */
  #wakeAt(user: UserPresence, due: number): void {
    user.due = due
    if (this.#stopped || due === Infinity || user.timerAt <= due) return
    user.timer?.cancel()
    this.#setTimer(user)
  }

  #setTimer(user: UserPresence): void {
    const { clock } = this.#deps
    user.timerAt = user.due
    user.timer = clock.setTimeout(() => {
      user.timerAt = Infinity
      if (user.due > clock.now()) this.#wakeAt(user, user.due)
      else this.#review(user)
    }, user.due - clock.now())
  }

  #markChanged(userId: UserId): void {
    const stored = this.#changes
      .add(userId)
      .catch(this.#deps.onError)
      .then(() => {
        if (this.#unstored.get(userId) === stored) this.#unstored.delete(userId)
      })
    this.#unstored.set(userId, stored)
  }

  async #store(changes: readonly UserId[]): Promise<void> {
    const { db, presence, streamIds, positions } = this.#deps
    const userIds = [...new Set(changes)]
    await db.write('store_presence', async (tx) => {
      const ids = await streamIds.allocate(tx, userIds.length)
      const records = userIds.flatMap((userId, index) => {
        const user = this.#users.get(userId)
        return user ? [{ ...this.#current(user), streamId: ids[index]! }] : []
      })
      await presence.upsert(tx, records)
      tx.afterCommit(() => {
        for (const { userId, streamId } of records) this.#log.add(userId, streamId)
      })
    })
    positions.onNewPosition('presence', {
      users: userIds,
      rooms: await presence.listRooms(db.reader, userIds),
    })
  }
}
