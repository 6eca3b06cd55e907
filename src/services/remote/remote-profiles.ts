import { serverNameOf, type UserId } from '../../protocol/ids.js'
import { NAME_AND_AVATAR, fieldOf } from '../../protocol/profile-fields.js'
import type { JsonObject, JsonValue } from '../../util/json.js'
import { SingleFlight } from '../../util/single-flight.js'
import type { FederationClient } from './federation-client.js'
import { lookupFailure } from './lookup-failure.js'

const TIMEOUT_MS = 20_000
/** A profile may have 64 KiB. */
const MAX_BYTES = 128 * 1024
const ABSENT = 'Profile not found'

/** Profiles of other servers' users. */
export class RemoteProfiles {
  readonly #client: Pick<FederationClient, 'request'>
  readonly #flights = new SingleFlight<JsonObject>()

  constructor(client: Pick<FederationClient, 'request'>) {
    this.#client = client
  }

  /**
   * The profile of a user, or one field of it: absent fields are left out. Throws `M_NOT_FOUND`, `M_FORBIDDEN`, and 502
   * and 504 for servers that cannot be asked.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1queryprofile
   */
  async get(userId: UserId, field?: string): Promise<JsonObject> {
    return this.#flights.run(`${userId}\u0000${field ?? ''}`, () => this.#ask(userId, field))
  }

  async #ask(userId: UserId, field: string | undefined): Promise<JsonObject> {
    try {
      const answer = await this.#client.request({
        destination: serverNameOf(userId),
        method: 'GET',
        path: '/_matrix/federation/v1/query/profile',
        query: { user_id: userId, ...(field !== undefined && { field }) },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
      })
      const fields = Object.entries(answer).filter(
        ([name, value]) => isField(name, value) && (field === undefined || name === field),
      )
      return Object.fromEntries(fields)
    } catch (error) {
      throw lookupFailure(error, ABSENT)
    }
  }

  /** One field, as `fieldOf` gives it. Throws as `get` and `fieldOf`. */
  async getField(userId: UserId, field: string): Promise<JsonValue> {
    return fieldOf(await this.get(userId, field), field)
  }
}

function isField(name: string, value: JsonValue): boolean {
  return value !== null && (!NAME_AND_AVATAR.has(name) || (typeof value === 'string' && value !== ''))
}
