import {
  createKeyServices as wire,
  createKeyStores,
  type KeyServices,
  type KeyStores,
} from '../../src/server/wire-keys.js'
import { KeyCleanup } from '../../src/services/devices/key-cleanup.js'
import { ToDevice } from '../../src/services/devices/to-device.js'
import { CacheRegistry } from '../../src/storage/cache-registry.js'
import type { Database } from '../../src/storage/database.js'
import { DeviceInboxStore, TO_DEVICE_STREAM } from '../../src/storage/stores/device-inbox.js'
import { DEVICE_LISTS_STREAM } from '../../src/storage/stores/devices.js'
import { StreamIdGenerator } from '../../src/storage/streams/stream-id-generator.js'
import { createMetrics } from '../../src/telemetry/metrics.js'
import { SERVER_NAME, createAccountServices, type AccountFixture } from './account-services.js'

/** The services of keys on a database, with accounts beside them. */
export interface KeyFixture extends KeyServices {
  readonly accounts: AccountFixture
  readonly db: Database
  readonly stores: KeyStores
  readonly toDevice: ToDevice
}

export async function createKeyServices(db: Database): Promise<KeyFixture> {
  const caches = new CacheRegistry(createMetrics())
  const stores = createKeyStores(caches)
  const inbox = new DeviceInboxStore(caches)
  const cleanup = new KeyCleanup(stores)
  const accounts = await createAccountServices(db, { deviceCleanups: [cleanup], userCleanups: [cleanup] })
  const positions = {
    onNewPosition: (stream: string, hints: object) => accounts.positions.push({ stream, hints }),
  }
  const streams = {
    deviceLists: await StreamIdGenerator.open(db, DEVICE_LISTS_STREAM),
    toDevice: await StreamIdGenerator.open(db, TO_DEVICE_STREAM),
  }
  const toDevice = new ToDevice({
    db,
    inbox,
    devices: accounts.stores.devices,
    streamIds: streams.toDevice,
    positions,
    serverName: SERVER_NAME,
  })
  const { devices } = accounts.services
  const services = wire(
    { db, clock: accounts.clock, positions, serverName: SERVER_NAME, devices, toDevice, streams },
    { ...stores, devices: accounts.stores.devices },
  )
  return { ...services, accounts, db, stores, toDevice }
}
