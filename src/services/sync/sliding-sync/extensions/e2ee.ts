import type { Database } from '../../../../storage/database.js'
import type { E2eKeys } from '../../../devices/e2e-keys.js'
import type { DeviceListChanges } from '../../device-list-changes.js'
import { resumedAt } from './paused-extensions.js'
import type { Extension, ExtensionFrame, ExtensionResult } from './extension.js'

interface Parts {
  readonly deviceListChanges: Pick<DeviceListChanges, 'list'>
  readonly e2eKeys: Pick<E2eKeys, 'getCounts'>
}

/**
 * Whose devices have changed, and how many keys the device has left. That alone is no news: clients upload more when
 * they hear of it, and would be answered at once for ever. https://github.com/matrix-org/matrix-spec-proposals/pull/3884
 */
export class E2eeExtension implements Extension {
  readonly #db: Database
  readonly #parts: Parts

  constructor(db: Database, parts: Parts) {
    this.#db = db
    this.#parts = parts
  }

  async load({ viewer, pos, now }: ExtensionFrame): Promise<ExtensionResult> {
    const { userId, deviceId } = viewer
    // To begin in the middle of a connection is no reason to be told less than before.
    const since = (resumedAt(pos, 'e2ee') ?? pos)?.stream
    const [lists, counts] = await Promise.all([
      since && this.#parts.deviceListChanges.list(userId, since, now),
      deviceId && this.#parts.e2eKeys.getCounts(this.#db.reader, { userId, deviceId }),
    ])
    const changed = [...(lists?.changed ?? [])]
    const left = [...(lists?.left ?? [])]
    return {
      json: {
        device_one_time_keys_count: { ...counts?.oneTimeKeys },
        device_unused_fallback_key_types: counts ? [...counts.unusedFallbackTypes] : [],
        ...(lists && { device_lists: { changed, left } }),
      },
      hasNews: changed.length + left.length > 0,
    }
  }
}
