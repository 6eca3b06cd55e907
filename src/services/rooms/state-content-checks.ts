import { badJson, invalidParam, MatrixError } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { RoomId, ServerName } from '../../protocol/ids.js'
import { LEVEL_PROPERTIES, parseLevel, roomCreators } from '../../protocol/power-levels.js'
import type { RoomVersionRules } from '../../protocol/room-versions.js'
import { ServerAcl } from '../../protocol/server-acl.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'

const MAPS = ['users', 'events', 'notifications'] as const

/**
 * Power levels that are none, or give one to a creator who has them all, are a client's mistake rather than a lack of
 * permission. Throws `M_BAD_JSON`, `M_INVALID_PARAM`.
 */
export function checkPowerLevelContent(
  rules: RoomVersionRules,
  content: JsonObject,
  create: Event | undefined,
): void {
  const isLevel = (value: unknown): boolean => parseLevel(rules, value) !== undefined
  for (const key of LEVEL_PROPERTIES) {
    if (content[key] !== undefined && !isLevel(content[key])) throw badJson(`${key} must be an integer`)
  }
  for (const key of MAPS) {
    const map = content[key]
    if (map === undefined) continue
    if (!isJsonObject(map) || !Object.values(map).every(isLevel)) throw badJson(`${key} must map to integers`)
  }
  const { users } = content
  if (!rules.privilegedCreators || create === undefined || !isJsonObject(users)) return
  const creator = roomCreators(rules, create).find((userId) => Object.hasOwn(users, userId))
  if (creator !== undefined) throw invalidParam(`${creator} is a creator and cannot have a power level`)
}

/**
 * A room is replaced by a room, and not by itself. Throws `M_BAD_JSON`, `M_INVALID_PARAM`.
 * https://spec.matrix.org/latest/client-server-api/#mroomtombstone
 */
export function checkTombstoneContent(content: JsonObject, roomId: RoomId): void {
  const { replacement_room: replacement } = content
  if (typeof replacement !== 'string') throw badJson('replacement_room must be a room ID')
  if (replacement === roomId) {
    throw invalidParam('A tombstone cannot name the room that it is sent in')
  }
}

/**
 * Nobody of this server could lift an ACL that shuts it out. Where it shares a host with others at other ports, which no
 * ACL can tell apart, that may be meant for them. Throws `M_INVALID_PARAM`.
 */
export function checkServerAclContent(content: JsonObject, serverName: ServerName): void {
  const acl = new ServerAcl(content)
  if (!acl.isAllowed(serverName) && !acl.allowsName(serverName)) {
    throw invalidParam('The access control list shuts out this server')
  }
}

/** The create event is made with the room. */
export function createEventRefused(): MatrixError {
  return new MatrixError('M_INVALID_PARAM', 'm.room.create can only be sent when a room is created')
}
