import { parseRoomId, parseUserId, type RoomId, type UserId } from '../protocol/ids.js'
import type { AccountFlag } from '../services/administration/account-administration.js'
import type { Services } from '../services/services.js'
import type { JsonObject } from '../util/json.js'
import { ControlError } from './control-connection.js'
import type { ControlMethods } from './control-socket.js'
import { createMediaMethods } from './media-methods.js'

export type { RoomFinding, RoomRepairReport } from '../services/events/room-repair.js'

const ACCOUNT_FLAGS: readonly AccountFlag[] = ['isAdmin', 'isLocked', 'isSuspended', 'isShadowBanned']

export type AdministrationMethod = keyof ReturnType<typeof createAdministrationMethods>

/**
 * What commands have done by the server that runs or, where none does, by one that is composed for the purpose. Each
 * throws what its service throws, and a `ControlError` for parameters that it cannot be called with.
 */
export function createAdministrationMethods(
  services: Pick<Services, 'accountAdministration' | 'roomRepair' | 'mediaDeletion' | 'mediaQuarantine'> &
    Partial<Pick<Services, 'roomWitnesses'>>,
) {
  const { accountAdministration: accounts } = services
  return {
    ...createMediaMethods(services),

    /** `{userId, password, logoutDevices}`; gives `{}`. */
    'users.setPassword': async (params: JsonObject): Promise<JsonObject> => {
      const logoutDevices = booleanOf(params, 'logoutDevices')
      await accounts.setPassword(userIdOf(params), textOf(params, 'password'), { logoutDevices })
      return {}
    },

    /** `{userId, flag, value}`; gives `{changed}`. */
    'users.setFlag': async (params: JsonObject): Promise<JsonObject> => {
      const flag = ACCOUNT_FLAGS.find((name) => name === params['flag'])
      if (flag === undefined) throw badParameter('flag')
      return { changed: await accounts.setFlag(userIdOf(params), flag, booleanOf(params, 'value')) }
    },

    /** `{userId, erase}`; gives `{}` when the user has left all rooms. */
    'users.deactivate': async (params: JsonObject): Promise<JsonObject> => {
      await accounts.deactivate(userIdOf(params), { erase: booleanOf(params, 'erase') })
      return {}
    },

    /** `{userId, deviceId?}`; gives `{devices}`, those that are gone. */
    'users.logout': async (params: JsonObject): Promise<JsonObject> => {
      const deviceId = params['deviceId'] === undefined ? undefined : textOf(params, 'deviceId')
      return { devices: await accounts.logout(userIdOf(params), deviceId) }
    },

    /** `{roomId, dryRun}`; gives a `RoomRepairReport`. Without witnesses, no other server is asked. */
    'rooms.repair': async (params: JsonObject): Promise<JsonObject> => {
      const report = await services.roomRepair.repair(roomIdOf(params), {
        dryRun: booleanOf(params, 'dryRun'),
        witnesses: services.roomWitnesses,
      })
      return toJson(report)
    },
  } satisfies ControlMethods
}

function userIdOf(params: JsonObject): UserId {
  const userId = parseUserId(textOf(params, 'userId'))
  if (userId === undefined) throw badParameter('userId')
  return userId
}

function roomIdOf(params: JsonObject): RoomId {
  const roomId = parseRoomId(textOf(params, 'roomId'))
  if (roomId === undefined) throw badParameter('roomId')
  return roomId
}

/** As it goes through the socket: without what is undefined. */
function toJson(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject
}

function textOf(params: JsonObject, name: string): string {
  const value = params[name]
  if (typeof value !== 'string') throw badParameter(name)
  return value
}

function booleanOf(params: JsonObject, name: string): boolean {
  const value = params[name]
  if (typeof value !== 'boolean') throw badParameter(name)
  return value
}

function badParameter(name: string): ControlError {
  return new ControlError('bad_request', `${name} is missing or cannot be used`)
}
