import type { HomeserverConfig } from '../config/homeserver-config.js'
import {
  parseRoomAlias,
  parseRoomId,
  parseUserId,
  userIdOf,
  type RoomId,
  type UserId,
} from '../protocol/ids.js'
import type { AdministrationMethod } from '../server/administration-methods.js'
import type { AdministrationTools } from '../server/wire-administration.js'
import type { JsonObject, JsonValue } from '../util/json.js'
import { CommandFailure, UsageError } from './failures.js'
import { requireSchema, withDatabase } from './with-database.js'

export type { AdministrationTools } from '../server/wire-administration.js'

/** The configuration in these files. Throws a `ConfigError`. */
export async function loadForAdministration(paths: readonly string[]): Promise<HomeserverConfig> {
  const { loadConfig } = await import('../config/load.js')
  return (await loadConfig(paths)).config
}

/**
 * Throws a `CommandFailure` where an authentication service has the accounts: what is changed here would count for nothing.
 * `instead`: what to do.
 */
export function requireOwnAccounts(
  { authenticationService }: Pick<HomeserverConfig, 'authenticationService'>,
  instead: string,
): void {
  if (authenticationService.service === undefined) return
  throw new CommandFailure(
    `The accounts of this server are in the hands of an authentication service (matrix_authentication_service): ${instead}`,
  )
}

/**
 * Has something changed: by the server of the configuration if it runs, so that it knows; otherwise here, with the same
 * services. Throws a `CommandFailure` with the reason where it is refused.
 */
export async function administrate(
  config: HomeserverConfig,
  method: AdministrationMethod,
  params: JsonObject,
): Promise<JsonObject> {
  const { withRunningServer } = await import('./control-client.js')
  const answer = await withRunningServer(config, (client) => client.call(method, params))
  return (answer ?? (await administrateOffline(config, method, params))) as JsonObject
}

async function administrateOffline(
  config: HomeserverConfig,
  method: AdministrationMethod,
  params: JsonObject,
): Promise<JsonValue> {
  const [{ withOfflineHomeserver }, { createAdministrationMethods }] = await Promise.all([
    import('../server/offline-homeserver.js'),
    import('../server/administration-methods.js'),
  ])
  return expected(() =>
    withOfflineHomeserver(config, ({ services }) => {
      const { accountAdministration, roomRepair, mediaDeletion, mediaQuarantine } = services
      // Other servers are asked nothing by one that they cannot ask: without those who would.
      const own = { accountAdministration, roomRepair, mediaDeletion, mediaQuarantine }
      return createAdministrationMethods(own)[method](params)
    }),
  )
}

/**
 * Reads what administrators want to know from the database itself; the server need not run, and may. Throws a
 * `CommandFailure` with the reason where there is nothing to read.
 */
export async function withAdministrationTools<T>(
  paths: readonly string[],
  work: (tools: AdministrationTools, config: HomeserverConfig) => Promise<T>,
): Promise<T> {
  const { createAdministrationTools } = await import('../server/wire-administration.js')
  const config = await loadForAdministration(paths)
  return withDatabase(paths, async (db) => {
    await requireSchema(db)
    return expected(() => work(createAdministrationTools(db, config), config))
  })
}

/** The user that `alice` or `@alice:example.org` stands for. Throws a `UsageError`. */
export function toUserId(given: string, { server }: Pick<HomeserverConfig, 'server'>): UserId {
  const text = given.startsWith('@') ? given : userIdOf(given, server.serverName)
  const userId = parseUserId(text)
  if (userId === undefined) throw new UsageError(`${given} is neither a user ID nor a localpart`)
  return userId
}

/**
 * The room of an ID or of an alias of this server. Throws a `UsageError` for what is neither, and a `CommandFailure` for
 * an alias that is not there.
 */
export async function toRoomId(given: string, { roomOverviews }: AdministrationTools): Promise<RoomId> {
  const alias = parseRoomAlias(given)
  const roomId = alias === undefined ? parseRoomId(given) : await roomOverviews.findByAlias(alias)
  if (roomId !== undefined) return roomId
  if (alias !== undefined) throw new CommandFailure(`${alias} is no alias of this server`)
  throw new UsageError(`${given} is neither a room ID nor an alias`)
}

/** What services refuse is for people; everything else is our own fault, and keeps its stack. */
async function expected<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { name, message } = error as Error
    if (name === 'MatrixError' || name === 'ControlError') throw new CommandFailure(message, { cause: error })
    throw error
  }
}
