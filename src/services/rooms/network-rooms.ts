import { forbidden, invalidParam } from '../../protocol/errors.js'
import type { RoomId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { AppservicesStore } from '../../storage/stores/appservices.js'
import type { CurrentStateStore } from '../../storage/stores/current-state.js'
import type { EventsStore } from '../../storage/stores/events.js'
import { DIRECTORY_STATE_TYPES, type ListedRoom } from '../../storage/stores/public-rooms.js'
import type { JsonObject } from '../../util/json.js'
import type { Requester } from '../accounts/requester.js'
import { parseInstanceId } from '../appservices/third-party-networks.js'
import type { RoomState } from '../events/room-state.js'
import { describeRoom, readStateContents, toPublicRoomJson } from './room-descriptions.js'

export interface NetworkRoomsDependencies {
  readonly db: Database
  readonly appservices: Pick<AppservicesStore, 'setRoomListed' | 'listNetworkRooms'>
  readonly currentState: CurrentStateStore
  readonly events: EventsStore
  readonly roomState: Pick<RoomState, 'requireRoom'>
}

export interface NetworkRoomsQuery {
  readonly limit: number
  readonly since: string | undefined
  /** In lower case. */
  readonly searchTerm: string | undefined
}

const MAX_NETWORK_ID_LENGTH = 255
const TOKEN = /^a(\d{1,6})$/

/**
 * Rooms that application services publish for the networks they bridge: directories of their own.
 * https://spec.matrix.org/latest/application-service-api/#published-room-directories
 */
export class NetworkRooms {
  readonly #deps: NetworkRoomsDependencies

  constructor(deps: NetworkRoomsDependencies) {
    this.#deps = deps
  }

  /** Publishes a room of the requester's network, or takes it back. Throws `M_FORBIDDEN`, `M_NOT_FOUND`. */
  async setListed(
    { appserviceId }: Pick<Requester, 'appserviceId'>,
    { networkId, roomId }: { networkId: string; roomId: RoomId },
    isListed: boolean,
  ): Promise<void> {
    if (appserviceId === undefined) throw forbidden('Only application services may do this')
    if (networkId.length > MAX_NETWORK_ID_LENGTH) throw invalidParam('networkId is too long')
    const { roomNid } = await this.#deps.roomState.requireRoom(roomId)
    await this.#deps.db.write('list_network_room', (tx) =>
      this.#deps.appservices.setRoomListed(tx, { appserviceId, networkId, roomNid }, isListed),
    )
  }

  /** A page of a network's directory, from the largest room to the smallest. Throws `M_INVALID_PARAM` for bad tokens. */
  async list(instanceId: string, { limit, since, searchTerm }: NetworkRoomsQuery): Promise<JsonObject> {
    const network = parseInstanceId(instanceId)
    const start = since === undefined ? 0 : parseToken(since)
    if (network === undefined) return { chunk: [], total_room_count_estimate: 0 }
    const rooms = await this.#load(network)
    const found = rooms.filter((room) => matches(room, searchTerm))
    const end = start + limit
    return {
      chunk: found.slice(start, end).map(toPublicRoomJson),
      ...(end < found.length && { next_batch: `a${end}` }),
      ...(start > 0 && { prev_batch: `a${Math.max(0, start - limit)}` }),
      total_room_count_estimate: rooms.length,
    }
  }

  async #load(network: { appserviceId: string; networkId: string }): Promise<ListedRoom[]> {
    const q = this.#deps.db.reader
    const rooms = await this.#deps.appservices.listNetworkRooms(q, network)
    const roomNids = rooms.map(({ roomNid }) => roomNid)
    const wanted = { roomNids, types: DIRECTORY_STATE_TYPES }
    const contents = await readStateContents(q, this.#deps, wanted)
    return rooms.map((room) => ({
      ...describeRoom(room.roomNid, contents.get(room.roomNid) ?? new Map()),
      ...room,
    }))
  }
}

function matches({ name, topic, canonicalAlias }: ListedRoom, term: string | undefined): boolean {
  if (term === undefined) return true
  return [name, topic, canonicalAlias].some((text) => text?.toLowerCase().includes(term))
}

function parseToken(token: string): number {
  const [, start] = TOKEN.exec(token) ?? []
  if (start === undefined) throw invalidParam('since is not a valid token')
  return Number(start)
}
