import { PushRules } from '../../src/services/accounts/push-rules.js'
import type { Requester } from '../../src/services/accounts/requester.js'
import { RoomState } from '../../src/services/events/room-state.js'
import { UnreadCounts } from '../../src/services/events/unread-counts.js'
import type { PositionHints } from '../../src/services/streams/notifier.js'
import type { DeviceId, ServerName, UserId } from '../../src/protocol/ids.js'
import {
  createEphemeralServices,
  createEphemeralStores,
  createToDevice,
} from '../../src/server/wire-ephemeral.js'
import { AccountData } from '../../src/services/accounts/account-data.js'
import { CacheRegistry } from '../../src/storage/cache-registry.js'
import type { Database } from '../../src/storage/database.js'
import { AccountDataStore } from '../../src/storage/stores/account-data.js'
import { CurrentStateStore } from '../../src/storage/stores/current-state.js'
import { TO_DEVICE_STREAM } from '../../src/storage/stores/device-inbox.js'
import { DevicesStore } from '../../src/storage/stores/devices.js'
import { EventsStore } from '../../src/storage/stores/events.js'
import { PRESENCE_STREAM } from '../../src/storage/stores/presence.js'
import { RECEIPTS_STREAM, ReceiptsStore } from '../../src/storage/stores/receipts.js'
import { PUSH_RULES_STREAM, PushRulesStore } from '../../src/storage/stores/push-rules.js'
import { RoomMembersStore } from '../../src/storage/stores/room-members.js'
import { RoomsStore } from '../../src/storage/stores/rooms.js'
import { StateKeysStore } from '../../src/storage/stores/state-keys.js'
import { StateSnapshotsStore } from '../../src/storage/stores/state-snapshots.js'
import { StreamIdGenerator } from '../../src/storage/streams/stream-id-generator.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import { ManualClock } from './manual-clock.js'

export type EphemeralFixture = Awaited<ReturnType<typeof createEphemeralFixture>>

export const PRESENCE_TIMES = {
  lastActiveGranularityMs: 60_000,
  syncOnlineTimeoutMs: 30_000,
  idleTimeoutMs: 300_000,
}

/** The services of what passes by on a database, with a clock that stands still and what they have told others. */
export async function createEphemeralFixture(
  db: Database,
  options: { presence?: { enabled?: boolean; tracked?: boolean }; clock?: ManualClock } = {},
) {
  const clock = options.clock ?? new ManualClock()
  const caches = new CacheRegistry(createMetrics())
  const rooms = new RoomsStore(caches)
  const members = new RoomMembersStore()
  const events = new EventsStore(caches, rooms, { cacheSize: 100 })
  const devices = new DevicesStore()
  const accountDataStore = new AccountDataStore()
  const positions: { stream: string; hints: PositionHints }[] = []
  const sink = {
    onNewPosition: (stream: string, hints: PositionHints) => void positions.push({ stream, hints }),
  }
  const streams = {
    receipts: await StreamIdGenerator.open(db, RECEIPTS_STREAM),
    presence: await StreamIdGenerator.open(db, PRESENCE_STREAM),
    toDevice: await StreamIdGenerator.open(db, TO_DEVICE_STREAM),
    accountData: await StreamIdGenerator.open(db, {
      sequence: 'account_data_stream_seq',
      table: 'account_data',
      column: 'stream_id',
    }),
  }
  const accountData = new AccountData({
    db,
    accountData: accountDataStore,
    streamIds: streams.accountData,
    positions: sink,
  })
  const roomState = new RoomState(db, {
    rooms,
    events,
    members,
    currentState: new CurrentStateStore(),
    stateKeys: new StateKeysStore(caches),
    snapshots: new StateSnapshotsStore(caches),
  })
  const pushRules = new PushRules({
    db,
    pushRules: new PushRulesStore(caches, { cacheSize: 100 }),
    streamIds: await StreamIdGenerator.open(db, PUSH_RULES_STREAM),
    positions: sink,
  })
  const stores = createEphemeralStores(caches)
  const services = createEphemeralServices(
    {
      db,
      caches,
      clock,
      positions: sink,
      receiptStream: streams.receipts,
      presenceStream: streams.presence,
      accountDataStore,
      accountData,
      pushRules,
      roomState,
      onError: (error) => {
        throw error
      },
    },
    { ...stores, devices, events, members, rooms },
    {
      presence: {
        enabled: options.presence?.enabled ?? true,
        tracked: options.presence?.tracked ?? true,
        times: PRESENCE_TIMES,
      },
    },
  )
  const sentRemotely: { type: string; users: UserId[] }[] = []
  const toDevice = createToDevice(
    {
      sendRemote: (_sender, type, messages) => {
        sentRemotely.push({ type, users: [...messages.keys()] })
        return Promise.resolve()
      },
      db,
      devices,
      streamIds: streams.toDevice,
      positions: sink,
      serverName: 'hs.test' as ServerName,
    },
    stores,
  )
  return {
    ...services,
    db,
    clock,
    caches,
    streams,
    stores,
    members,
    devices,
    accountDataStore,
    pushRules,
    toDevice,
    positions,
    sentRemotely,
    /** Counts that remember nothing yet. */
    forgetfulCounts: () => {
      const forgetful = new CacheRegistry(createMetrics())
      const receipts = new ReceiptsStore(forgetful)
      return new UnreadCounts({ ...stores, receipts, rooms, pushRules, caches: forgetful })
    },
  }
}

/** Somebody with one device. */
export function requesterOf(localpart: string, deviceId = 'DEVICE'): Requester {
  return {
    userId: `@${localpart}:hs.test` as UserId,
    deviceId: deviceId as DeviceId,
    isGuest: false,
    isAdmin: false,
    isShadowBanned: false,
    isSuspended: false,
    isLocked: false,
    tokenId: 1,
    appserviceId: undefined,
  }
}
