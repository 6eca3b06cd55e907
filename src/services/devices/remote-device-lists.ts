import { LRUCache } from 'lru-cache'
import { canonicalJson } from '../../protocol/canonical-json.js'
import { serverNameOf, type DeviceId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database, Tx } from '../../storage/database.js'
import type { CrossSigningStore } from '../../storage/stores/cross-signing.js'
import type { DevicesStore } from '../../storage/stores/devices.js'
import type { RemoteDevicesStore } from '../../storage/stores/remote-devices.js'
import type { StreamIdGenerator } from '../../storage/streams/stream-id-generator.js'
import type { JsonObject } from '../../util/json.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import { upTo } from '../../util/lru-bounds.js'
import type { FederationClient } from '../remote/federation-client.js'
import { FederationError } from '../remote/federation-error.js'
import type { PositionSink } from '../streams/notifier.js'
import { CROSS_SIGNING_DEVICE } from './cross-signing.js'
import {
  isDeviceId,
  MAX_REMOTE_DEVICES,
  parseCrossSigning,
  parseRemoteDevice,
  parseStreamId,
  parseUserDevices,
  type RemoteUserKeys,
} from './remote-key-parsing.js'

export interface RemoteDeviceListsDependencies {
  readonly db: Database
  readonly remoteDevices: RemoteDevicesStore
  readonly crossSigning: CrossSigningStore
  readonly devices: Pick<DevicesStore, 'recordChanges'>
  readonly client: Pick<FederationClient, 'request'>
  /** Of device lists. */
  readonly streamIds: Pick<StreamIdGenerator, 'allocate'>
  /** The position of the events stream. */
  readonly eventsPosition: () => number
  readonly positions: PositionSink
  /** Told of users whose list is to be fetched: anew, or before somebody wants it. */
  readonly onStale: (userId: UserId) => void
}

/** A change of one device, as the user's server tells of it. */
interface DeviceUpdate {
  readonly userId: UserId
  readonly deviceId: DeviceId
  readonly streamId: string | undefined
  readonly previousIds: readonly string[]
  readonly isDeleted: boolean
  readonly content: JsonObject
}

const REMEMBERED_UPDATES = 20_000
const MAX_PREVIOUS = 100
const MAX_ANSWER_BYTES = 8 * 1024 * 1024

/**
 * The devices of other servers' users who are in rooms with ours: fetched when somebody wants them or a change is told
 * of, then kept up with the changes. One that does not follow on the last makes the list stale.
 * https://spec.matrix.org/latest/server-server-api/#device-management
 */
export class RemoteDeviceLists {
  readonly #deps: RemoteDeviceListsDependencies
  readonly #locks = new KeyedMutex()
  /** Updates that have been applied: `user ID, stream ID`. */
  readonly #seen = new LRUCache<string, true>(upTo(REMEMBERED_UPDATES))

  constructor(deps: RemoteDeviceListsDependencies) {
    this.#deps = deps
  }

  /**
   * Fetches a user's devices and follows them from now on. Resolves at once where somebody else has just done that.
   * Rejects with a `FederationError`, also when `signal` aborts.
   */
  async fetch(userId: UserId, options: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options
    const task = async (): Promise<void> => {
      const { db, remoteDevices } = this.#deps
      if ((await remoteDevices.listFresh(db.reader, [userId])).has(userId)) return
      await this.#fetch(userId, options)
    }
    try {
      await this.#locks.run(userId, task, signal)
    } catch (error) {
      if (!signal?.aborted || error !== signal.reason) throw error
      throw new FederationError(serverNameOf(userId), 'unreachable', 'it has not answered in time')
    }
  }

  /** As `fetch`, and tells clients of it: they have seen the list that is stale. */
  async refetch(userId: UserId): Promise<void> {
    await this.fetch(userId)
    await this.#deps.db.write('refetched_devices', (tx) => this.#recordChanges(tx, [userId]))
  }

  /**
   * Takes in `m.device_list_update`. What is about users of other servers than `origin` is left alone (`malformed`), and
   * what is about users who are in no room with ours (`stranger`).
   */
  async onDeviceListUpdate(
    origin: ServerName,
    content: JsonObject,
  ): Promise<'taken' | 'stranger' | 'malformed'> {
    const update = parseUpdate(content)
    if (update === undefined || serverNameOf(update.userId) !== origin) return 'malformed'
    const { userId } = update
    const { db, remoteDevices } = this.#deps
    const followed = await remoteDevices.listFollowable(db.reader, [userId])
    if (!followed.has(userId)) {
      // Strangers are told of by whoever likes: what is not held costs no write.
      if (await remoteDevices.getList(db.reader, userId)) {
        await db.write('forget_device_list', (tx) => remoteDevices.forget(tx, userId))
      }
      return 'stranger'
    }
    const isWanting = await this.#locks.run(userId, () => this.#apply(update))
    if (isWanting) this.#deps.onStale(userId)
    return 'taken'
  }

  /**
   * Tells of changes that came when it was not known yet that these users are in rooms with ours. Gives who of them is;
   * of the others nothing is told.
   */
  async recordEarlyChanges(userIds: readonly UserId[]): Promise<ReadonlySet<UserId>> {
    const { db, remoteDevices } = this.#deps
    const known = await remoteDevices.listFollowable(db.reader, userIds)
    const record = (users: readonly UserId[]): Promise<void> =>
      db.write('record_early_changes', async (tx) => {
        await remoteDevices.markStale(tx, users)
        await this.#recordChanges(tx, users)
      })
    // A list that is being fetched may be older than the change, and is kept before it is marked.
    const beingFetched = [...known].filter((userId) => this.#locks.isHeld(userId))
    const others = [...known].filter((userId) => !this.#locks.isHeld(userId))
    if (others.length > 0) await record(others)
    await Promise.all(beingFetched.map((userId) => this.#locks.run(userId, () => record([userId]))))
    return known
  }

  /** Takes in `m.signing_key_update`. */
  async onSigningKeyUpdate(origin: ServerName, content: JsonObject): Promise<void> {
    const { user_id: userId } = content
    if (typeof userId !== 'string' || serverNameOf(userId) !== origin) return
    const user = userId as UserId
    const { db, remoteDevices } = this.#deps
    if (!(await remoteDevices.listFollowable(db.reader, [user])).has(user)) return
    const keys = parseCrossSigning(user, {
      master: content['master_key'],
      self_signing: content['self_signing_key'],
    })
    await this.#locks.run(userId, () =>
      db.write('update_signing_keys', async (tx) => {
        await this.#storeCrossSigning(tx, user, keys)
        await this.#recordChanges(tx, [user])
      }),
    )
  }

  /** Keys that were asked for without following the users: kept as what our users may sign. */
  async keepCrossSigning(keys: ReadonlyMap<UserId, RemoteUserKeys['crossSigning']>): Promise<void> {
    const { db, crossSigning } = this.#deps
    const stored = await crossSigning.getMany(db.reader, [...keys.keys()])
    const changed = [...keys].filter(([userId, ofUser]) =>
      ofUser.some(({ usage, json }) => {
        const before = stored.get(userId)?.[usage]
        return before === undefined || canonicalJson(before.json) !== canonicalJson(json)
      }),
    )
    if (changed.length === 0) return
    await db.write('keep_signing_keys', async (tx) => {
      for (const [userId, ofUser] of changed) await this.#storeCrossSigning(tx, userId, ofUser)
    })
  }

  async #fetch(
    userId: UserId,
    { timeoutMs, signal }: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<void> {
    const { db, client, remoteDevices, eventsPosition } = this.#deps
    // Before the question: memberships that come while it is on its way are not covered by the answer.
    const fetchedAt = eventsPosition()
    const answer = await client.request({
      destination: serverNameOf(userId),
      method: 'GET',
      path: `/_matrix/federation/v1/user/devices/${encodeURIComponent(userId)}`,
      maxBytes: MAX_ANSWER_BYTES,
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(signal && { signal }),
    })
    const { devices, crossSigning, streamId } = parseUserDevices(answer, userId)
    await db.write('store_device_list', async (tx) => {
      await remoteDevices.replaceDevices(tx, userId, devices)
      await this.#storeCrossSigning(tx, userId, crossSigning, { isAll: true })
      await remoteDevices.putList(tx, { userId, streamId, fetchedAt, isStale: false })
    })
  }

  /** Whether the list is to be fetched. */
  async #apply(update: DeviceUpdate): Promise<boolean> {
    const { db, remoteDevices } = this.#deps
    const { userId, streamId, previousIds } = update
    return db.write('update_device_list', async (tx) => {
      const list = await remoteDevices.getList(tx, userId)
      await this.#recordChanges(tx, [userId])
      // Had while the user's server can be reached, it is there when somebody asks while it cannot.
      if (list === undefined) return true
      const follows =
        streamId !== undefined &&
        previousIds.length > 0 &&
        previousIds.every((id) => id === list.streamId || this.#seen.has(seenKey(userId, id)))
      if (list.isStale || !follows) {
        await remoteDevices.markStale(tx, [userId])
        return true
      }
      await this.#storeDevice(tx, update)
      if (isNewer(streamId, list.streamId)) await remoteDevices.setStreamId(tx, userId, streamId)
      tx.afterCommit(() => this.#seen.set(seenKey(userId, streamId), true))
      return false
    })
  }

  async #storeDevice(tx: Tx, { userId, deviceId, isDeleted, content }: DeviceUpdate): Promise<void> {
    const { remoteDevices } = this.#deps
    const said = { keys: content['keys'], displayName: content['device_display_name'] }
    const devices = isDeleted ? [] : parseRemoteDevice(userId, deviceId, said)
    if (devices.length === 0) await remoteDevices.deleteDevice(tx, userId, deviceId)
    else if ((await remoteDevices.countDevices(tx, userId)) < MAX_REMOTE_DEVICES) {
      await remoteDevices.putDevices(tx, devices)
    }
  }

  async #storeCrossSigning(
    tx: Tx,
    userId: UserId,
    keys: RemoteUserKeys['crossSigning'],
    { isAll = false }: { isAll?: boolean } = {},
  ): Promise<void> {
    const { crossSigning } = this.#deps
    const stored = await crossSigning.get(tx, userId)
    const said = new Map(keys.map((key) => [key.usage, key]))
    const gone = (['master', 'self_signing'] as const).filter(
      (usage) => isAll && stored[usage] !== undefined && !said.has(usage),
    )
    if (gone.length > 0) await crossSigning.delete(tx, userId, gone)
    const replaced = keys.flatMap(({ usage, publicKey }) => {
      const before = stored[usage]
      return before !== undefined && before.publicKey !== publicKey ? [before.publicKey] : []
    })
    // Whoever had verified the key that is gone has not verified this one.
    await crossSigning.deleteSignatures(tx, userId, replaced)
    await crossSigning.set(tx, userId, keys)
  }

  /** Tells those who share rooms with the users. One entry for all devices: their names are another server's. */
  async #recordChanges(tx: Tx, userIds: readonly UserId[]): Promise<void> {
    const { devices, remoteDevices, streamIds, positions } = this.#deps
    const rooms = await remoteDevices.listSharedRooms(tx, userIds)
    const ids = await streamIds.allocate(tx, userIds.length)
    const changes = userIds.map((userId, i) => ({
      userId,
      deviceId: CROSS_SIGNING_DEVICE,
      streamId: ids[i]!,
    }))
    await devices.recordChanges(tx, changes)
    tx.afterCommit(() => positions.onNewPosition('device_lists', { rooms }))
  }
}

function parseUpdate(content: JsonObject): DeviceUpdate | undefined {
  const { user_id: userId, device_id: deviceId, prev_id: previous = [] } = content
  if (typeof userId !== 'string' || !isDeviceId(deviceId) || !Array.isArray(previous)) return undefined
  return {
    userId: userId as UserId,
    deviceId,
    streamId: parseStreamId(content['stream_id']),
    previousIds: previous.slice(0, MAX_PREVIOUS).flatMap((id) => parseStreamId(id) ?? []),
    isDeleted: content['deleted'] === true,
    content,
  }
}

function isNewer(streamId: string, than: string | undefined): boolean {
  const [a, b] = [Number(streamId), Number(than)]
  return Number.isNaN(a) || Number.isNaN(b) || a > b
}

function seenKey(userId: UserId, streamId: string): string {
  return `${userId}\u0000${streamId}`
}
