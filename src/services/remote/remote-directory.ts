import { notFound } from '../../protocol/errors.js'
import {
  parseRoomId,
  parseServerName,
  serverNameOf,
  type RoomAlias,
  type RoomId,
  type ServerName,
} from '../../protocol/ids.js'
import type { JsonValue } from '../../util/json.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { FederationClient } from './federation-client.js'
import { lookupFailure } from './lookup-failure.js'

/** Where an alias of another server leads. */
export interface RemoteAlias {
  readonly roomId: RoomId
  /** Servers through which the room can be had, the alias's own among them. */
  readonly servers: readonly ServerName[]
}

const TIMEOUT_MS = 20_000
const MAX_BYTES = 1024 * 1024
const MAX_SERVERS = 50

/** Aliases of other servers. */
export class RemoteDirectory {
  readonly #client: Pick<FederationClient, 'request'>
  readonly #flights = new SingleFlight<RemoteAlias>()

  constructor(client: Pick<FederationClient, 'request'>) {
    this.#client = client
  }

  /**
   * Throws `M_NOT_FOUND` for aliases that do not exist, and 502 and 504 for servers that cannot be asked.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1querydirectory
   */
  resolve(alias: RoomAlias): Promise<RemoteAlias> {
    return this.#flights.run(alias, () => this.#ask(alias))
  }

  async #ask(alias: RoomAlias): Promise<RemoteAlias> {
    const destination = serverNameOf(alias)
    try {
      const answer = await this.#client.request({
        destination,
        method: 'GET',
        path: '/_matrix/federation/v1/query/directory',
        query: { room_alias: alias },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
      })
      const { room_id: said } = answer
      const roomId = typeof said === 'string' ? parseRoomId(said) : undefined
      if (roomId === undefined) throw notFound(`Room alias ${alias} not found`)
      const servers = new Set([...serversOf(answer['servers']), destination])
      return { roomId, servers: [...servers].slice(0, MAX_SERVERS) }
    } catch (error) {
      throw lookupFailure(error, `Room alias ${alias} not found`)
    }
  }
}

function serversOf(said: JsonValue | undefined): ServerName[] {
  if (!Array.isArray(said)) return []
  return said.flatMap((name) => (typeof name === 'string' ? (parseServerName(name) ?? []) : []))
}
