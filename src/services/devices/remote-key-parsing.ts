import {
  parseCrossSigningKey,
  type CrossSigningKey,
  type CrossSigningUsage,
} from '../../protocol/cross-signing-keys.js'
import { parseDeviceKeys } from '../../protocol/device-keys.js'
import { MatrixError } from '../../protocol/errors.js'
import { fitsBytes, type DeviceId, type UserId } from '../../protocol/ids.js'
import type { DeviceKeysRecord } from '../../storage/stores/e2e-keys.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'

/** What another server says of the keys of one of its users; what is malformed is left out. */
export interface RemoteUserKeys {
  readonly devices: readonly DeviceKeysRecord[]
  readonly crossSigning: readonly CrossSigningKey[]
}

/** An answer to `GET /user/devices/{userId}`. */
export interface RemoteDevicesAnswer extends RemoteUserKeys {
  readonly streamId: string | undefined
}

/** Of one user; the others are as if they were not there. */
export const MAX_REMOTE_DEVICES = 1_000
const MAX_DEVICE_ID_BYTES = 255
const MAX_NAME_LENGTH = 100
const NO_KEYS: JsonObject = { algorithms: [], keys: {}, signatures: {} }

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1userdevicesuserid */
export function parseUserDevices(answer: JsonObject, userId: UserId): RemoteDevicesAnswer {
  const devices = Array.isArray(answer['devices']) ? answer['devices'] : []
  return {
    streamId: parseStreamId(answer['stream_id']),
    devices: devices
      .flatMap((device) => {
        if (!isJsonObject(device) || typeof device['device_id'] !== 'string') return []
        return parseRemoteDevice(userId, device['device_id'], {
          keys: device['keys'],
          displayName: device['device_display_name'],
        })
      })
      .slice(0, MAX_REMOTE_DEVICES),
    crossSigning: parseCrossSigning(userId, {
      master: answer['master_key'],
      self_signing: answer['self_signing_key'],
    }),
  }
}

/** The part of an answer to `POST /user/keys/query` that is about one user. */
export function parseQueriedKeys(answer: JsonObject, userId: UserId): RemoteUserKeys {
  const devices = memberOf(memberOf(answer, 'device_keys'), userId)
  return {
    devices: Object.entries(devices)
      .flatMap(([deviceId, keys]) => {
        const unsigned = isJsonObject(keys) ? memberOf(keys, 'unsigned') : {}
        return parseRemoteDevice(userId, deviceId, { keys, displayName: unsigned['device_display_name'] })
      })
      .slice(0, MAX_REMOTE_DEVICES),
    crossSigning: parseCrossSigning(userId, {
      master: memberOf(answer, 'master_keys')[userId],
      self_signing: memberOf(answer, 'self_signing_keys')[userId],
    }),
  }
}

/**
 * One device with keys; none where there are no keys, or they are malformed. Parts that are missing are empty: servers
 * differ in what they let their devices upload, and clients verify all of it.
 */
export function parseRemoteDevice(
  userId: UserId,
  deviceId: string,
  said: { readonly keys: JsonValue | undefined; readonly displayName: JsonValue | undefined },
): DeviceKeysRecord[] {
  if (!isDeviceId(deviceId) || !isJsonObject(said.keys)) return []
  try {
    const given = { ...NO_KEYS, user_id: userId, device_id: deviceId, ...said.keys }
    const keys = parseDeviceKeys(given, { userId, deviceId })
    if (!isStorable(JSON.stringify(keys))) return []
    return [{ userId, deviceId, keys, displayName: parseDisplayName(said.displayName) }]
  } catch (error) {
    if (error instanceof MatrixError) return []
    throw error
  }
}

/** Keys that a user signs with, as others see them. */
export function parseCrossSigning(
  userId: UserId,
  said: Readonly<Partial<Record<CrossSigningUsage, JsonValue | undefined>>>,
): CrossSigningKey[] {
  return (['master', 'self_signing'] as const).flatMap((usage) => {
    const json = said[usage]
    if (!isJsonObject(json)) return []
    try {
      const key = parseCrossSigningKey(json, usage, userId)
      return isStorable(JSON.stringify(key.json)) ? [key] : []
    } catch (error) {
      if (error instanceof MatrixError) return []
      throw error
    }
  })
}

/** Servers count as they like; compared for being the same only. */
export function parseStreamId(value: JsonValue | undefined): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  return typeof value === 'string' && value !== '' && value.length <= 64 && isStorable(value)
    ? value
    : undefined
}

export function isDeviceId(value: unknown): value is DeviceId {
  return (
    typeof value === 'string' && value !== '' && fitsBytes(value, MAX_DEVICE_ID_BYTES) && isStorable(value)
  )
}

function parseDisplayName(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && isStorable(value)
    ? value.slice(0, MAX_NAME_LENGTH).toWellFormed()
    : undefined
}

function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000') && !text.includes('\\u0000')
}

function memberOf(object: JsonObject, name: string): JsonObject {
  const member = Object.hasOwn(object, name) ? object[name] : undefined
  return isJsonObject(member) ? member : {}
}
