import type { ServerName } from '../protocol/ids.js'
import { CrossSigning } from '../services/devices/cross-signing.js'
import { DehydratedDevices } from '../services/devices/dehydrated-devices.js'
import type { Devices } from '../services/devices/devices.js'
import { E2eKeys } from '../services/devices/e2e-keys.js'
import { KeyBackup } from '../services/devices/key-backup.js'
import { KeyClaims } from '../services/devices/key-claims.js'
import { KeyQueries } from '../services/devices/key-queries.js'
import { KeySignatures } from '../services/devices/key-signatures.js'
import { LocalKeys } from '../services/devices/local-keys.js'
import type { RemoteKeys } from '../services/devices/remote-keys.js'
import type { ToDevice } from '../services/devices/to-device.js'
import type { Services } from '../services/services.js'
import type { PositionSink } from '../services/streams/notifier.js'
import type { CacheRegistry } from '../storage/cache-registry.js'
import type { Database } from '../storage/database.js'
import { CrossSigningStore } from '../storage/stores/cross-signing.js'
import { DehydratedDevicesStore } from '../storage/stores/dehydrated-devices.js'
import type { DevicesStore } from '../storage/stores/devices.js'
import { E2eKeysStore } from '../storage/stores/e2e-keys.js'
import { KeyBackupsStore } from '../storage/stores/key-backups.js'
import type { StreamIdGenerator } from '../storage/streams/stream-id-generator.js'
import type { Clock } from '../util/clock.js'

/** What keys need of the rest of the server. */
export interface KeyParts {
  readonly db: Database
  readonly clock: Clock
  readonly positions: PositionSink
  readonly serverName: ServerName
  readonly devices: Devices
  readonly toDevice: ToDevice
  readonly streams: {
    readonly deviceLists: Pick<StreamIdGenerator, 'allocate'>
    readonly toDevice: Pick<StreamIdGenerator, 'position'>
  }
  /** Without it, the keys of other servers' users cannot be had. */
  readonly remoteKeys?: RemoteKeys
  /** `allow_device_name_lookup_over_federation`. */
  readonly tellsDeviceNames?: boolean
}

export type KeyStores = ReturnType<typeof createKeyStores>

export type KeyServices = Pick<
  Services,
  | 'crossSigning'
  | 'dehydratedDevices'
  | 'e2eKeys'
  | 'keyBackup'
  | 'keyClaims'
  | 'keyQueries'
  | 'keySignatures'
> & {
  /** For what is told to other servers. */
  readonly localKeys: LocalKeys
}

export function createKeyStores(caches: CacheRegistry) {
  return {
    crossSigning: new CrossSigningStore(),
    dehydratedDevices: new DehydratedDevicesStore(),
    e2eKeys: new E2eKeysStore(caches),
    keyBackups: new KeyBackupsStore(),
  }
}

/** Constructs the services of end-to-end encryption. What goes with devices and users is `KeyCleanup`'s. */
export function createKeyServices(
  parts: KeyParts,
  stores: KeyStores & { readonly devices: DevicesStore },
): KeyServices {
  const { db, devices, streams, toDevice, serverName, remoteKeys } = parts
  const localKeys = new LocalKeys({ ...stores, db, tellsDeviceNames: parts.tellsDeviceNames ?? false })
  const e2eKeys = new E2eKeys({ ...stores, db, clock: parts.clock, devices })
  return {
    crossSigning: new CrossSigning({ ...stores, ...parts, streamIds: streams.deviceLists }),
    dehydratedDevices: new DehydratedDevices({
      db,
      dehydratedDevices: stores.dehydratedDevices,
      devices,
      e2eKeys,
      toDevice,
      streamIds: streams.toDevice,
    }),
    e2eKeys,
    keyBackup: new KeyBackup({ db, keyBackups: stores.keyBackups }),
    keyClaims: new KeyClaims({ ...stores, ...parts }),
    keyQueries: new KeyQueries({ localKeys, remoteKeys, serverName }),
    keySignatures: new KeySignatures({ ...stores, ...parts, streamIds: streams.deviceLists }),
    localKeys,
  }
}
