import { parseFilter } from '../../protocol/event-filter.js'
import type { UserId } from '../../protocol/ids.js'
import type { StreamToken } from '../../protocol/stream-token.js'
import type { Notifier } from '../streams/notifier.js'
import type { MemberMovements } from './member-movements.js'
import type { DeviceListsSection, SyncDeviceLists } from './sections/device-lists.js'
import type { SyncFrames } from './sync-frame.js'

interface Parts {
  readonly frames: SyncFrames
  readonly movements: MemberMovements
  readonly deviceLists: DeviceListsSection
  readonly notifier: Pick<Notifier, 'currentToken'>
}

/** Rooms whose members are not all known count with those that are. */
const FILTER = parseFilter({ room: { state: { lazy_load_members: true } } })

/** Tells who changed their devices, without all else that a sync tells. */
export class DeviceListChanges {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Whose devices a client has to look at anew that had seen everything up to `from`, and whose it need not follow any
   * more: as of now, but that changes of devices after `to` do not count.
   * https://spec.matrix.org/latest/client-server-api/#get_matrixclientv3keyschanges
   */
  async list(userId: UserId, from: StreamToken, to: StreamToken | undefined): Promise<SyncDeviceLists> {
    const { frames, movements, deviceLists, notifier } = this.#parts
    const current = notifier.currentToken()
    const upTo = Math.min(to?.deviceLists ?? current.deviceLists, current.deviceLists)
    const request = {
      // Without the device: what its syncs have brought is none of this question's business.
      viewer: { userId, deviceId: undefined },
      filter: FILTER,
      since: from,
      fullState: false,
      timeoutMs: 0,
      setPresence: 'offline' as const,
      stateAfterNames: [],
    }
    const frame = await frames.load(request, from, { ...current, deviceLists: upTo })
    const { come, found, ...others } = await movements.load(frame)
    // Whoever asks may want all members at once, and has not been shown the room before they were known.
    return deviceLists.load(frame, { ...others, found, come: new Set([...come, ...found]) })
  }
}
