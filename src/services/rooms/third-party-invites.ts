import { badJson, forbidden } from '../../protocol/errors.js'
import { fitsBytes, MAX_ID_BYTES, serverNameOf, type ServerName, type UserId } from '../../protocol/ids.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { EventSender } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'

export interface ThirdPartyInvitesDependencies {
  readonly roomState: RoomState
  readonly sender: EventSender
  readonly serverName: ServerName
}

/** Turns invitations of third-party IDs into invitations of users. */
export class ThirdPartyInvites {
  readonly #deps: ThirdPartyInvitesDependencies

  constructor(deps: ThirdPartyInvitesDependencies) {
    this.#deps = deps
  }

  /**
   * Sends the invitation that a signed proof entitles somebody to, in the name of who invited the third-party ID; the
   * room's rules check the signature. Throws `M_FORBIDDEN`, `M_BAD_JSON`.
   * https://spec.matrix.org/latest/client-server-api/#third-party-invites
   */
  async exchange(room: RoomRecord, userId: UserId, signed: JsonObject): Promise<void> {
    const { token } = signed
    if (typeof token !== 'string' || !isStateKey(token)) {
      throw badJson('third_party_signed.token must be a state key')
    }
    const invite = await this.#deps.roomState.getStateEvent(room.roomId, 'm.room.third_party_invite', token)
    if (!invite) throw forbidden('There is no such third-party invite')
    const { content, sender: inviter } = invite.event
    if (serverNameOf(inviter) !== this.#deps.serverName) {
      throw forbidden('The server of who sent the third-party invite cannot be reached')
    }
    // An identity server that can revoke its keys must be asked, and this server asks none.
    if (needsValidityCheck(content)) throw forbidden('The keys of the third-party invite cannot be checked')
    const displayName = content['display_name']
    await this.#deps.sender.send(
      { userId: inviter },
      {
        roomId: room.roomId,
        type: 'm.room.member',
        stateKey: userId,
        content: {
          membership: 'invite',
          third_party_invite: {
            ...(typeof displayName === 'string' && { display_name: displayName }),
            signed,
          },
        },
      },
    )
  }
}

/** What no event has for a state key need not be looked for, and some of it cannot be. */
function isStateKey(text: string): boolean {
  return fitsBytes(text, MAX_ID_BYTES) && !text.includes('\u0000')
}

function needsValidityCheck(content: JsonObject): boolean {
  const keys = content['public_keys']
  const listed = Array.isArray(keys) ? keys.filter(isJsonObject) : []
  return [content, ...listed].some((key) => key['key_validity_url'] !== undefined)
}
