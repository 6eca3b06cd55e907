import { forbidden, invalidParam, MatrixError, notFound } from '../../protocol/errors.js'
import { parseServerName, type RoomId, type ServerName } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { DirectoryStore } from '../../storage/stores/directory.js'
import type {
  DirectoryPlace,
  DirectorySource,
  ListedRoom,
  PublicRoomsStore,
} from '../../storage/stores/public-rooms.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import { parseInstanceId } from '../appservices/third-party-networks.js'
import type { RoomState } from '../events/room-state.js'
import type { RemotePublicRooms } from '../remote/remote-public-rooms.js'
import type { DirectoryEntries } from './directory-entries.js'
import type { DirectoryRules } from './directory-rules.js'
import { toPublicRoomJson } from './room-descriptions.js'
import type { RoomPowers } from './room-powers.js'

export interface PublicRoomsOptions {
  readonly serverName: ServerName
  /** `room_list_publication_rules`. */
  readonly publicationRules: DirectoryRules
  /** `enable_room_list_search`: where false, lists are empty. */
  readonly isSearchable: boolean
  /** `allow_public_rooms_without_auth`. */
  readonly withoutAuth: boolean
  /** `allow_public_rooms_over_federation`. */
  readonly forServers: boolean
}

export interface PublicRoomsDependencies {
  readonly db: Database
  readonly publicRooms: PublicRoomsStore
  readonly directory: DirectoryStore
  readonly roomState: RoomState
  readonly powers: RoomPowers
  readonly entries: DirectoryEntries
  /** Without it, other servers cannot be asked. */
  readonly remotePublicRooms?: RemotePublicRooms | undefined
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayPublish'> | undefined
  readonly options: PublicRoomsOptions
}

/** What somebody looks for in the directory. */
export interface PublicRoomsQuery {
  /** The server whose directory is meant; ours where it is undefined. */
  readonly server: string | undefined
  readonly limit: number | undefined
  readonly since: string | undefined
  readonly searchTerm: string | undefined
  /** Null stands for rooms without a type. */
  readonly roomTypes: readonly (string | null)[] | undefined
  /** Only rooms of a network that is bridged: the `instance_id` of one. */
  readonly network?: string | undefined
  /** The rooms of all networks, too. Not together with `network`. */
  readonly allNetworks?: boolean | undefined
}

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 500
const MAX_TERM_LENGTH = 1_000
const MAX_NETWORK_ID_LENGTH = 255
const TOKEN = /^([np])([0-9]{1,15})_([0-9]{1,15})$/

/** The published rooms of this server. https://spec.matrix.org/latest/client-server-api/#published-room-directory */
export class PublicRooms {
  readonly #deps: PublicRoomsDependencies

  constructor(deps: PublicRoomsDependencies) {
    this.#deps = deps
  }

  /** Throws `M_NOT_FOUND` for unknown rooms. */
  async getVisibility(roomId: RoomId): Promise<'public' | 'private'> {
    const { db, publicRooms, roomState } = this.#deps
    const room = await roomState.requireRoom(roomId)
    return (await publicRooms.isPublished(db.reader, room.roomNid)) ? 'public' : 'private'
  }

  /**
   * Publishes a room or takes it from the directory: for those who may change its canonical alias, and administrators.
   * Throws `M_NOT_FOUND`, `M_FORBIDDEN`.
   */
  async setVisibility(requester: Requester, roomId: RoomId, visibility: 'public' | 'private'): Promise<void> {
    const { db, publicRooms, roomState, powers, entries } = this.#deps
    const room = await roomState.requireRoom(roomId)
    const mayChange =
      requester.isAdmin || (await powers.maySendState(room, requester.userId, 'm.room.canonical_alias'))
    if (!mayChange) throw forbidden('You must be a moderator of the room to edit its directory entry')
    if (visibility === 'public' && !requester.isAdmin) await this.#checkRules(requester, roomId, room.roomNid)
    await this.#deps.spam?.mayPublish(requester.userId, roomId)
    await db.write('set_visibility', (tx) =>
      publicRooms.setPublished(tx, room.roomNid, visibility === 'public'),
    )
    // After the commit: whoever brings entries up to date later knows that the room is published.
    if (visibility === 'public') await entries.refresh([room.roomNid])
  }

  /**
   * Publishes a room as one of a network that the requester, an application service, bridges, or takes it back. Throws
   * `M_FORBIDDEN` for others, `M_NOT_FOUND`, `M_INVALID_PARAM`.
   * https://spec.matrix.org/latest/application-service-api/#published-room-directories
   */
  async setNetworkVisibility(
    { appserviceId }: Pick<Requester, 'appserviceId'>,
    { networkId, roomId }: { networkId: string; roomId: RoomId },
    visibility: 'public' | 'private',
  ): Promise<void> {
    const { db, publicRooms, roomState, entries } = this.#deps
    if (appserviceId === undefined) throw forbidden('Only application services may do this')
    if (networkId.length > MAX_NETWORK_ID_LENGTH) throw invalidParam('networkId is too long')
    const { roomNid } = await roomState.requireRoom(roomId)
    const isPublished = visibility === 'public'
    await db.write('set_network_visibility', (tx) =>
      publicRooms.setPublishedByNetwork(tx, { appserviceId, networkId }, { roomNid, isPublished }),
    )
    if (isPublished) await entries.refresh([roomNid])
  }

  /**
   * A page of the directory, from the largest room to the smallest. Throws `M_INVALID_PARAM` for bad tokens and
   * limits and for a network beside all networks, `M_MISSING_TOKEN` for those who say not who they are,
   * `M_NOT_FOUND`, 502 and 504 for servers that cannot be asked.
   */
  async list(requester: Requester | undefined, query: PublicRoomsQuery): Promise<JsonObject> {
    const { options } = this.#deps
    if (requester === undefined && !options.withoutAuth) {
      throw new MatrixError('M_MISSING_TOKEN', 'Missing access token')
    }
    const { server } = query
    if (query.network !== undefined && query.allNetworks === true) {
      throw invalidParam('third_party_instance_id cannot be used with include_all_networks')
    }
    if (server === undefined || server === options.serverName) return this.#list(query)
    return this.#listRemote(server, query)
  }

  /**
   * A page of the directory for another server. Throws `M_FORBIDDEN` where the configuration does not allow it, otherwise
   * as `list`. https://spec.matrix.org/latest/server-server-api/#published-room-directory
   */
  async listForServer(query: Omit<PublicRoomsQuery, 'server'>): Promise<JsonObject> {
    if (!this.#deps.options.forServers) throw forbidden('The directory is not shared with other servers')
    return this.#list({ ...query, server: undefined })
  }

  async #listRemote(name: string, query: PublicRoomsQuery): Promise<JsonObject> {
    const { remotePublicRooms } = this.#deps
    const server = parseServerName(name)
    if (server === undefined) throw invalidParam('server is not a server name')
    if (remotePublicRooms === undefined) throw notFound(`The directory of ${server} cannot be asked`)
    return remotePublicRooms.list(server, query)
  }

  async #list(query: PublicRoomsQuery): Promise<JsonObject> {
    const { db, publicRooms, entries, options } = this.#deps
    const limit = pageSize(query.limit)
    const from = query.since === undefined ? undefined : parseToken(query.since)
    const source = sourceOf(query)
    if (!options.isSearchable || source === undefined || limit === 0) {
      return { chunk: [], total_room_count_estimate: 0 }
    }
    await entries.catchUp()
    const term = searchTerm(query.searchTerm)
    const rooms = await publicRooms.list(db.reader, {
      source,
      searchTerm: term,
      roomTypes: query.roomTypes,
      // One more than asked for shows whether there is another page.
      limit: limit + 1,
      from,
    })
    const page = paginate(rooms, limit, from)
    return {
      chunk: page.rooms.map(toPublicRoomJson),
      ...(page.next !== undefined && { next_batch: page.next }),
      ...(page.previous !== undefined && { prev_batch: page.previous }),
      total_room_count_estimate: await publicRooms.count(db.reader, source),
    }
  }

  async #checkRules(requester: Requester, roomId: RoomId, roomNid: number): Promise<void> {
    const { db, directory, options } = this.#deps
    const aliases = await directory.listForRoom(db.reader, roomNid)
    if (!options.publicationRules.allows(requester.userId, roomId, aliases)) {
      throw forbidden('Not allowed to publish room')
    }
  }
}

/** Undefined for what names no network. */
function sourceOf({ network, allNetworks }: PublicRoomsQuery): DirectorySource | undefined {
  if (allNetworks === true) return 'everywhere'
  return network === undefined ? 'published' : parseInstanceId(network)
}

function pageSize(limit: number | undefined): number {
  if (limit === undefined) return DEFAULT_LIMIT
  if (limit < 0) throw invalidParam('limit must not be negative')
  return Math.min(limit, MAX_LIMIT)
}

/** What databases take for a pattern is bounded, and so are names. */
function searchTerm(text = ''): string | undefined {
  if (text.length > MAX_TERM_LENGTH) throw invalidParam('generic_search_term is too long')
  const term = text.toLowerCase().replaceAll('\u0000', '')
  return term === '' ? undefined : term
}

interface From {
  readonly place: DirectoryPlace
  readonly backwards: boolean
}

/** `n` or `p` for the direction, then the place. */
function parseToken(token: string): From {
  const [, direction, joinedMembers, roomNid] = TOKEN.exec(token) ?? []
  if (direction === undefined) throw invalidParam('since is not a valid token')
  return {
    place: { joinedMembers: Number(joinedMembers), roomNid: Number(roomNid) },
    backwards: direction === 'p',
  }
}

function formatToken(direction: 'n' | 'p', room: ListedRoom): string {
  return `${direction}${room.joinedMembers}_${room.roomNid}`
}

function paginate(
  rooms: readonly ListedRoom[],
  limit: number,
  from: From | undefined,
): { rooms: readonly ListedRoom[]; next: string | undefined; previous: string | undefined } {
  const hasMore = rooms.length > limit
  const backwards = from?.backwards === true
  const page = !hasMore ? rooms : backwards ? rooms.slice(-limit) : rooms.slice(0, limit)
  const [first, last] = [page[0], page.at(-1)]
  // Where one came from there are rooms: those before a page that goes on, those after one that goes back.
  const hasNext = backwards || hasMore
  const hasPrevious = backwards ? hasMore : from !== undefined
  return {
    rooms: page,
    next: hasNext && last ? formatToken('n', last) : undefined,
    previous: hasPrevious && first ? formatToken('p', first) : undefined,
  }
}
