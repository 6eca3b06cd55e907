import { MatrixError } from '../../protocol/errors.js'
import type { RoomId, ServerName } from '../../protocol/ids.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Requester } from '../accounts/requester.js'
import type { RoomComplexity } from '../federation/room-complexity.js'

/** `limit_remote_rooms`. */
export interface RemoteRoomLimitOptions {
  /** Rooms with a complexity above this are not joined. */
  readonly maxComplexity: number
  /** What those are told who want to. */
  readonly message: string
  readonly adminsMayJoin: boolean
}

/** Keeps this server out of rooms that are more than it can take. */
export class RemoteRoomLimit {
  readonly #complexity: Pick<RoomComplexity, 'ask' | 'measure'>
  readonly #options: RemoteRoomLimitOptions

  constructor(complexity: Pick<RoomComplexity, 'ask' | 'measure'>, options: RemoteRoomLimitOptions) {
    this.#complexity = complexity
    this.#options = options
  }

  /**
   * Before a join: gives whether it has to be looked at again afterwards, because nobody says how complex the room is.
   * Throws 400 `M_RESOURCE_LIMIT_EXCEEDED` where it is known to be too complex.
   */
  async check(requester: Requester, roomId: RoomId, servers: readonly ServerName[]): Promise<boolean> {
    if (requester.isAdmin && this.#options.adminsMayJoin) return false
    const complexity = await this.#complexity.ask(servers, roomId)
    if (complexity !== undefined && this.#isTooComplex(complexity)) throw this.#refusal()
    return complexity === undefined
  }

  /** After a join: why the room has to be left again, if it has. */
  async refusalOf(room: RoomRecord): Promise<MatrixError | undefined> {
    return this.#isTooComplex(await this.#complexity.measure(room.roomNid)) ? this.#refusal() : undefined
  }

  #isTooComplex(complexity: number): boolean {
    return complexity > this.#options.maxComplexity
  }

  #refusal(): MatrixError {
    return new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', this.#options.message, { status: 400 })
  }
}
