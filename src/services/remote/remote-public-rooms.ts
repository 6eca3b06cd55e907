import { parseRoomId, type ServerName } from '../../protocol/ids.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { FederationClient } from './federation-client.js'
import { lookupFailure } from './lookup-failure.js'

/** What somebody looks for in another server's directory. */
export interface RemotePublicRoomsQuery {
  readonly limit: number | undefined
  readonly since: string | undefined
  readonly searchTerm: string | undefined
  /** Null stands for rooms without a type. */
  readonly roomTypes: readonly (string | null)[] | undefined
  /** Only rooms of a network that is bridged there. */
  readonly network?: string | undefined
  readonly allNetworks?: boolean | undefined
}

const TIMEOUT_MS = 30_000
const MAX_BYTES = 8 * 1024 * 1024
const MAX_ROOMS = 1_000
const PATH = '/_matrix/federation/v1/publicRooms'

/** Directories of other servers. */
export class RemotePublicRooms {
  readonly #client: Pick<FederationClient, 'request'>

  constructor(client: Pick<FederationClient, 'request'>) {
    this.#client = client
  }

  /**
   * A page of a server's directory, as that server gives it. Throws `M_NOT_FOUND`, `M_FORBIDDEN`, and 502 and 504 for
   * servers that cannot be asked.
   * https://spec.matrix.org/latest/server-server-api/#published-room-directory
   */
  async list(server: ServerName, query: RemotePublicRoomsQuery): Promise<JsonObject> {
    try {
      return sanitize(await this.#ask(server, query))
    } catch (error) {
      throw lookupFailure(error, `The directory of ${server} cannot be asked`)
    }
  }

  #ask(destination: ServerName, query: RemotePublicRoomsQuery): Promise<JsonObject> {
    const { limit, since, network, allNetworks, searchTerm, roomTypes } = query
    const shared = { destination, path: PATH, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES }
    if (searchTerm === undefined && roomTypes === undefined) {
      return this.#client.request({
        ...shared,
        method: 'GET',
        query: {
          ...(limit !== undefined && { limit: String(limit) }),
          ...(since !== undefined && { since }),
          ...(allNetworks === true && { include_all_networks: 'true' }),
          ...(network !== undefined && { third_party_instance_id: network }),
        },
      })
    }
    return this.#client.request({
      ...shared,
      method: 'POST',
      body: {
        ...(limit !== undefined && { limit }),
        ...(since !== undefined && { since }),
        ...(allNetworks === true && { include_all_networks: true }),
        ...(network !== undefined && { third_party_instance_id: network }),
        filter: {
          ...(searchTerm !== undefined && { generic_search_term: searchTerm }),
          ...(roomTypes !== undefined && { room_types: [...roomTypes] }),
        },
      },
    })
  }
}

function sanitize(answer: JsonObject): JsonObject {
  const chunk = Array.isArray(answer['chunk']) ? answer['chunk'] : []
  const { next_batch: next, prev_batch: previous, total_room_count_estimate: total } = answer
  return {
    chunk: chunk.filter(isRoom).slice(0, MAX_ROOMS),
    ...(typeof next === 'string' && { next_batch: next }),
    ...(typeof previous === 'string' && { prev_batch: previous }),
    ...(typeof total === 'number' && Number.isSafeInteger(total) && { total_room_count_estimate: total }),
  }
}

function isRoom(room: JsonValue): boolean {
  return (
    isJsonObject(room) && typeof room['room_id'] === 'string' && parseRoomId(room['room_id']) !== undefined
  )
}
