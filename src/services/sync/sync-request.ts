import type { Filter } from '../../protocol/event-filter.js'
import type { DeviceId, UserId } from '../../protocol/ids.js'
import type { StreamToken } from '../../protocol/stream-token.js'
import type { PresenceState } from '../../storage/stores/presence.js'

/** Who looks, and through which device. */
export interface SyncViewer {
  readonly userId: UserId
  readonly deviceId: DeviceId | undefined
}

/** What a client asks of `/sync`. */
export interface SyncRequest {
  readonly viewer: SyncViewer
  readonly filter: Filter
  /** Undefined: everything from the start. */
  readonly since: StreamToken | undefined
  readonly fullState: boolean
  readonly timeoutMs: number
  readonly setPresence: PresenceState
  /** The device that is present by this request, where the viewer is without one. */
  readonly presentDeviceId?: DeviceId | undefined
  /**
   * The names under which the state after the timeline is given instead of `state`; empty: not wanted.
   * https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4222-sync-v2-state-after.md
   */
  readonly stateAfterNames: readonly string[]
}
