import type { RoomId, ServerName, UserId } from '../../protocol/ids.js'
import type { JsonObject } from '../../util/json.js'
import type { FederationClient } from '../remote/federation-client.js'
import { toClientError } from './server-choice.js'

const TIMEOUT_MS = 30_000

/** Has the server of who invited a third-party ID invite the user that it belongs to. */
export class ThirdPartyExchange {
  readonly #client: Pick<FederationClient, 'request'>

  constructor(client: Pick<FederationClient, 'request'>) {
    this.#client = client
  }

  /**
   * Resolves when the other server has invited the user. Rejects with what it says instead, as clients may see it.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid
   */
  async ask(
    destination: ServerName,
    {
      roomId,
      inviter,
      userId,
      content,
    }: { roomId: RoomId; inviter: UserId; userId: UserId; content: JsonObject },
  ): Promise<void> {
    try {
      await this.#client.request({
        destination,
        method: 'PUT',
        path: `/_matrix/federation/v1/exchange_third_party_invite/${encodeURIComponent(roomId)}`,
        body: { type: 'm.room.member', room_id: roomId, sender: inviter, state_key: userId, content },
        timeoutMs: TIMEOUT_MS,
        ignoreBackoff: true,
      })
    } catch (error) {
      throw toClientError(error)
    }
  }
}
