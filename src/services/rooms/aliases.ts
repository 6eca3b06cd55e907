import { forbidden, invalidParam, MatrixError, notFound } from '../../protocol/errors.js'
import {
  fitsBytes,
  MAX_ID_BYTES,
  parseRoomAlias,
  serverNameOf,
  type RoomAlias,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DirectoryStore } from '../../storage/stores/directory.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import type { AppserviceQueries } from '../appservices/appservice-queries.js'
import type { AppserviceRegistry } from '../appservices/appservice-registry.js'
import type { EventSender } from '../events/event-sender.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { RoomState } from '../events/room-state.js'
import type { RemoteDirectory } from '../remote/remote-directory.js'
import { withoutAlias } from './canonical-aliases.js'
import type { DirectoryRules } from './directory-rules.js'
import type { RoomPowers } from './room-powers.js'

export interface AliasOptions {
  readonly serverName: ServerName
  /** `require_membership_for_aliases`. */
  readonly requireMembership: boolean
  /** `alias_creation_rules`. */
  readonly creationRules: DirectoryRules
}

export interface AliasesDependencies {
  readonly db: Database
  readonly clock: Clock
  readonly directory: DirectoryStore
  readonly members: RoomMembersStore
  readonly roomState: RoomState
  readonly powers: RoomPowers
  readonly sender: EventSender
  /** Which aliases application services have for themselves; none without it. */
  readonly namespaces?: Pick<AppserviceRegistry, 'isTaken' | 'ownsAlias'>
  /** Asks application services for rooms that they may yet have to make. */
  readonly queries?: Pick<AppserviceQueries, 'hasAlias'>
  /** Rooms whose members are not all known; without it, there are none. */
  readonly partialRooms?: Pick<PartialRooms, 'get'> | undefined
  /** Without it, other servers cannot be asked. */
  readonly remoteDirectory?: Pick<RemoteDirectory, 'resolve'> | undefined
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayCreateAlias'> | undefined
  readonly options: AliasOptions
}

/** Where an alias leads. */
export interface ResolvedAlias {
  readonly roomId: RoomId
  /** Servers through which the room can be had, ours first where the alias is ours. */
  readonly servers: readonly ServerName[]
}

const MAX_SERVERS = 50
const SAMPLED_MEMBERS = 500
/** Aliases of other servers that are looked up for one question. */
const MAX_ASKED = 20

/** Aliases of rooms. https://spec.matrix.org/latest/client-server-api/#room-aliases */
export class Aliases {
  readonly #deps: AliasesDependencies

  constructor(deps: AliasesDependencies) {
    this.#deps = deps
  }

  /**
   * Throws 404 `M_NOT_FOUND` for aliases that do not exist, and 502 and 504 for those of servers that cannot be asked.
   */
  async resolve(alias: RoomAlias): Promise<ResolvedAlias> {
    const { options, remoteDirectory } = this.#deps
    const isLocal = serverNameOf(alias) === options.serverName
    if (isLocal || remoteDirectory === undefined) return this.resolveLocal(alias)
    return remoteDirectory.resolve(alias)
  }

  /** As `resolve`, of this server's aliases alone: for other servers. */
  async resolveLocal(alias: RoomAlias): Promise<ResolvedAlias> {
    const { db, directory, options } = this.#deps
    if (serverNameOf(alias) !== options.serverName) throw aliasNotFound(alias)
    let record = await directory.get(db.reader, alias)
    // A service that says it has the room has made the alias by then.
    if (!record && (await this.#deps.queries?.hasAlias(alias))) record = await directory.get(db.reader, alias)
    if (!record) throw aliasNotFound(alias)
    const remote = await directory.sampleRemoteMembers(db.reader, record.roomNid, SAMPLED_MEMBERS)
    const ofMembers = remote.map(serverNameOf)
    const partial = this.#deps.partialRooms?.get(record.roomNid)
    const servers = new Set([options.serverName, ...ofMembers, ...(partial?.servers ?? [])])
    return { roomId: record.roomId, servers: [...servers].slice(0, MAX_SERVERS) }
  }

  /**
   * Makes an alias of this server. Throws `M_INVALID_PARAM` for aliases of others, `M_NOT_FOUND` for unknown rooms,
   * `M_FORBIDDEN` for people who are not in the room or whom the server's rules refuse, `M_EXCLUSIVE` for aliases that
   * an application service has for itself, 409 where the alias exists.
   */
  async create(requester: Requester, alias: RoomAlias, roomId: RoomId): Promise<void> {
    const { db, clock, directory, members, roomState, options } = this.#deps
    if (serverNameOf(alias) !== options.serverName) throw invalidParam('Room alias must be local')
    checkLocalpart(alias)
    this.#checkNamespace(requester, alias)
    const room = await roomState.requireRoom(roomId)
    const isTrusted = requester.isAdmin || requester.appserviceId !== undefined
    if (options.requireMembership && !isTrusted) {
      const member = await members.get(db.reader, room.roomNid, requester.userId)
      if (member?.membership !== 'join') {
        throw forbidden('You must be in the room to create an alias for it')
      }
    }
    this.#checkRules(requester, roomId, alias)
    await this.#deps.spam?.mayCreateAlias(requester.userId, alias)
    const isNew = await db.write('create_alias', (tx) =>
      directory.insert(tx, { alias, roomNid: room.roomNid, creator: requester.userId }, clock.now()),
    )
    if (!isNew) throw new MatrixError('M_UNKNOWN', `Room alias ${alias} already exists`, { status: 409 })
  }

  /**
   * The alias with a localpart, for a room that is about to be created by the requester. Throws `M_INVALID_PARAM`,
   * `M_ROOM_IN_USE` where it is taken, `M_FORBIDDEN`.
   */
  async checkNew(requester: Requester, localpart: string): Promise<RoomAlias> {
    const { db, directory, options } = this.#deps
    const alias = `#${localpart}:${options.serverName}`
    if (localpart.includes(':')) {
      throw invalidParam("':' is not permitted in the name of a room alias: it is the part before it")
    }
    if (!fitsBytes(alias, MAX_ID_BYTES)) throw invalidParam('The room alias is too long')
    const parsed = parseRoomAlias(alias)
    if (parsed === undefined) throw invalidParam('Room alias invalid')
    checkLocalpart(parsed)
    this.#checkNamespace(requester, parsed)
    // The room has no ID yet, so that no rule about room IDs can match but those for all rooms.
    this.#checkRules(requester, '!:' as RoomId, parsed)
    if (await directory.get(db.reader, parsed)) throw roomInUse()
    await this.#deps.spam?.mayCreateAlias(requester.userId, parsed)
    return parsed
  }

  /**
   * Removes an alias: its creator, administrators and those who may change the room's canonical alias can. The canonical
   * alias of the room follows where the requester may change it. Throws `M_NOT_FOUND`, `M_FORBIDDEN`.
   */
  async delete(requester: Requester, alias: RoomAlias): Promise<void> {
    const { db, directory, roomState } = this.#deps
    const record = await directory.get(db.reader, alias)
    if (!record) throw aliasNotFound(alias)
    const room = await roomState.requireRoom(record.roomId)
    const { appserviceId } = requester
    const isServices = appserviceId !== undefined && this.#deps.namespaces?.ownsAlias(appserviceId, alias)
    if (!isServices) this.#checkNamespace(requester, alias)
    const mayDelete =
      isServices === true ||
      record.creator === requester.userId ||
      requester.isAdmin ||
      (await this.#deps.powers.maySendState(room, requester.userId, 'm.room.canonical_alias'))
    if (!mayDelete) throw forbidden("You don't have permission to delete the alias.")
    const deleted = await db.write('delete_alias', (tx) => directory.delete(tx, alias))
    if (!deleted) throw aliasNotFound(alias)
    await this.#removeFromState(requester, room, alias)
  }

  /** The aliases of a room on this server. Throws `M_FORBIDDEN` for people outside rooms that not everybody can read. */
  async list(requester: Requester, roomId: RoomId): Promise<RoomAlias[]> {
    const { db, directory, members, roomState } = this.#deps
    const room = await roomState.findRoom(roomId)
    const member = room && (await members.get(db.reader, room.roomNid, requester.userId))
    const mayList =
      room !== undefined && (member?.membership === 'join' || (await this.#isWorldReadable(roomId)))
    if (!mayList) throw forbidden('You are not a member of the room.')
    return directory.listForRoom(db.reader, room.roomNid)
  }

  /** Whether each of these aliases leads to the room; false, too, for more of other servers than are looked up. */
  async leadTo(roomId: RoomId, aliases: readonly RoomAlias[]): Promise<boolean> {
    const { db, directory, options } = this.#deps
    const isLocal = (alias: RoomAlias): boolean => serverNameOf(alias) === options.serverName
    const local = aliases.filter(isLocal)
    if (aliases.length - local.length > MAX_ASKED) return false
    const records = await directory.getMany(db.reader, local)
    if (!local.every((alias) => records.get(alias)?.roomId === roomId)) return false
    const remote = aliases.filter((alias) => !isLocal(alias))
    const lead = await Promise.all(remote.map((alias) => this.#findRemote(alias)))
    return lead.every((found) => found === roomId)
  }

  /** Undefined where it leads nowhere, or nobody can be asked. */
  async #findRemote(alias: RoomAlias): Promise<RoomId | undefined> {
    try {
      return (await this.#deps.remoteDirectory?.resolve(alias))?.roomId
    } catch (error) {
      if (error instanceof MatrixError) return undefined
      throw error
    }
  }

  /** https://spec.matrix.org/latest/application-service-api/#server-admin-style-permissions */
  #checkNamespace({ appserviceId }: Requester, alias: RoomAlias): void {
    const { namespaces } = this.#deps
    if (namespaces === undefined) return
    const isOutside = appserviceId !== undefined && !namespaces.ownsAlias(appserviceId, alias)
    if (isOutside || namespaces.isTaken('aliases', alias, appserviceId)) {
      throw new MatrixError('M_EXCLUSIVE', 'The alias is in a namespace of another application service')
    }
  }

  #checkRules(requester: Requester, roomId: RoomId, alias: RoomAlias): void {
    if (requester.appserviceId !== undefined) return
    if (!this.#deps.options.creationRules.allows(requester.userId, roomId, [alias])) {
      throw forbidden('Not allowed to create alias')
    }
  }

  async #isWorldReadable(roomId: RoomId): Promise<boolean> {
    const visibility = await this.#deps.roomState.getStateEvent(roomId, 'm.room.history_visibility', '')
    return visibility?.event.content['history_visibility'] === 'world_readable'
  }

  async #removeFromState(requester: Requester, room: RoomRecord, alias: RoomAlias): Promise<void> {
    const current = await this.#deps.roomState.getStateEvent(room.roomId, 'm.room.canonical_alias', '')
    const content = current && withoutAlias(current.event.content, alias)
    if (content === undefined) return
    try {
      await this.#sendCanonicalAlias(requester.userId, room.roomId, content)
    } catch (error) {
      // The alias is gone all the same.
      if (!(error instanceof MatrixError)) throw error
    }
  }

  async #sendCanonicalAlias(userId: UserId, roomId: RoomId, content: JsonObject): Promise<void> {
    await this.#deps.sender.send(
      { userId },
      { roomId, type: 'm.room.canonical_alias', stateKey: '', content },
    )
  }
}

/** The answer to a wish for an alias that exists. */
export function roomInUse(): MatrixError {
  return new MatrixError('M_ROOM_IN_USE', 'Room alias already taken')
}

function aliasNotFound(alias: RoomAlias): MatrixError {
  return notFound(`Room alias ${alias} not found`)
}

/** New aliases have a name without whitespace; old ones of other servers may be anything. */
function checkLocalpart(alias: RoomAlias): void {
  if (alias.startsWith('#:') || /\s/u.test(alias)) throw invalidParam('Invalid characters in room alias')
}
