import { invalidParam, tooLarge } from '../../protocol/errors.js'
import { fitsBytes, type UserId } from '../../protocol/ids.js'
import type { PresenceRecord, PresenceState } from '../../storage/stores/presence.js'
import type { JsonObject } from '../../util/json.js'

/** How long a state lasts; `presence` of the configuration. */
export interface PresenceTimes {
  /** Whoever was active so recently is "currently active": nobody is told of each single activity. */
  readonly lastActiveGranularityMs: number
  /** A device that has stopped to sync is offline after this long. */
  readonly syncOnlineTimeoutMs: number
  /** A device that syncs, but whose user does nothing, is idle after this long. */
  readonly idleTimeoutMs: number
}

/** What users have set themselves stays until they set something else. */
export const UNTRACKED_TIMES: PresenceTimes = {
  lastActiveGranularityMs: 0,
  syncOnlineTimeoutMs: Infinity,
  idleTimeoutMs: Infinity,
}

/** What is known of one device of an online user. */
export interface DevicePresence {
  /** What the client has said last. */
  declared: PresenceState
  lastActiveTs: number
  lastSyncTs: number
  /** Syncs of the device that are on their way now. */
  openSyncs: number
}

/** The presence that follows of a user's devices, and until when it does. */
export interface DerivedPresence {
  readonly state: PresenceState
  readonly lastActiveTs: number
  readonly currentlyActive: boolean
  /** When it has to be looked at again if nothing happens; undefined: never. */
  readonly until: number | undefined
}

const RANK: Readonly<Record<PresenceState, number>> = { offline: 0, unavailable: 1, online: 2 }
const MAX_STATUS_BYTES = 4096

/**
 * The state of one device: offline when it has stopped to sync, idle when its user has stopped to do anything, else
 * what it says itself.
 */
function deviceState(
  device: DevicePresence,
  now: number,
  times: PresenceTimes,
): { state: PresenceState; until: number | undefined } {
  const onlineUntil = Math.max(device.lastSyncTs, device.lastActiveTs) + times.syncOnlineTimeoutMs
  const isGone = device.openSyncs === 0 && now >= onlineUntil
  if (isGone || device.declared === 'offline') return { state: 'offline', until: undefined }
  const goneAt = device.openSyncs === 0 ? onlineUntil : undefined
  const idleAt = device.lastActiveTs + times.idleTimeoutMs
  if (device.declared === 'unavailable' || now >= idleAt) return { state: 'unavailable', until: goneAt }
  return { state: 'online', until: Math.min(idleAt, goneAt ?? Infinity) }
}

/** The presence of a user: the best of all devices. https://spec.matrix.org/latest/client-server-api/#presence */
export function derivePresence(
  devices: Iterable<DevicePresence>,
  now: number,
  { lastActiveTs: before, times }: { lastActiveTs: number; times: PresenceTimes },
): DerivedPresence {
  let state: PresenceState = 'offline'
  let lastActiveTs = before
  let until = Infinity
  for (const device of devices) {
    const own = deviceState(device, now, times)
    if (RANK[own.state] > RANK[state]) state = own.state
    lastActiveTs = Math.max(lastActiveTs, device.lastActiveTs)
    until = Math.min(until, own.until ?? Infinity)
  }
  const inactiveAt = lastActiveTs + times.lastActiveGranularityMs
  const currentlyActive = state === 'online' && now < inactiveAt
  if (currentlyActive) until = Math.min(until, inactiveAt)
  return { state, lastActiveTs, currentlyActive, until: until === Infinity ? undefined : until }
}

/** A presence as clients see it. https://spec.matrix.org/latest/client-server-api/#mpresence */
export function presenceContent(record: PresenceRecord, now: number): JsonObject {
  return {
    presence: record.state,
    ...(record.lastActiveTs > 0 && { last_active_ago: Math.max(0, now - record.lastActiveTs) }),
    ...(record.statusMsg !== undefined && { status_msg: record.statusMsg }),
    ...(record.state === 'online' && { currently_active: record.currentlyActive }),
  }
}

/** Whether others see the same. */
export function isSamePresence(a: PresenceRecord, b: PresenceRecord): boolean {
  return a.state === b.state && a.statusMsg === b.statusMsg && a.currentlyActive === b.currentlyActive
}

/** What users may say of themselves. Throws `M_INVALID_PARAM` for an unknown state, `M_TOO_LARGE`. */
export function checkPresence(state: string, statusMsg: string | undefined): PresenceState {
  if (!Object.hasOwn(RANK, state)) throw invalidParam('presence must be online, unavailable or offline')
  if (statusMsg !== undefined && !fitsBytes(statusMsg, MAX_STATUS_BYTES)) {
    throw tooLarge(`A status message may have ${MAX_STATUS_BYTES} bytes`)
  }
  return state as PresenceState
}

/** The presence of somebody of whom nothing is known. */
export function neverSeen(userId: UserId): PresenceRecord {
  return { userId, state: 'offline', statusMsg: undefined, lastActiveTs: 0, currentlyActive: false }
}

/** Devices of users who are offline need not be remembered, unless they sync. */
export function forgetIdle(devices: Map<string, DevicePresence>): void {
  for (const [key, device] of devices) if (device.openSyncs === 0) devices.delete(key)
}
