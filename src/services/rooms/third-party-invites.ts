import type { IdentityKey, IdentityServerClient } from '../../net/clients/identity-server-client.js'
import { HttpFailure } from '../../net/http-failure.js'
import { badJson, forbidden, MatrixError, notFound } from '../../protocol/errors.js'
import {
  fitsBytes,
  MAX_ID_BYTES,
  parseRoomId,
  parseUserId,
  serverNameOf,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import { hasValidSignature } from '../../protocol/third-party-signature.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { EventSender } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'
import type { ServerAcls } from '../federation/server-acls.js'
import type { ThirdPartyExchange } from '../federation/third-party-exchange.js'
import type { RemoteMembership } from './remote-membership.js'

export interface ThirdPartyInvitesDependencies {
  readonly db: Database
  readonly members: RoomMembersStore
  readonly roomState: RoomState
  readonly sender: EventSender
  readonly remote: Pick<RemoteMembership, 'invite'>
  /** Without it, there are no other servers. */
  readonly exchange?: ThirdPartyExchange | undefined
  readonly acls?: Pick<ServerAcls, 'require'> | undefined
  /** Asked whether keys are still good. */
  readonly identity: Pick<IdentityServerClient, 'isKeyValid'>
  /** Called with what fails for one of several invitations. */
  readonly onError: (error: unknown) => void
  readonly serverName: ServerName
}

/** A proof that an invited third-party ID belongs to a user. */
export interface ThirdPartyProof {
  readonly roomId: RoomId
  readonly userId: UserId
  /** Who is said to have invited the third-party ID. */
  readonly inviter: UserId | undefined
  /** `mxid`, `token` and the identity server's signatures. */
  readonly signed: JsonObject
}

/** No more invitations than this are taken from an identity server at once. */
const MAX_BOUND = 100
/** No more keys of one invitation than this are asked about. */
const MAX_KEYS = 10

/** Turns invitations of third-party IDs into invitations of users. */
export class ThirdPartyInvites {
  readonly #deps: ThirdPartyInvitesDependencies

  constructor(deps: ThirdPartyInvitesDependencies) {
    this.#deps = deps
  }

  /**
   * Has somebody invited whom a signed proof entitles to it (nobody where there is none), in the name of who invited
   * the third-party ID; the room's rules check the signature. The server of the latter is asked where that is
   * another. Throws `M_FORBIDDEN`, `M_BAD_JSON`, and what other servers say.
   * https://spec.matrix.org/latest/client-server-api/#third-party-invites
   */
  async exchange(roomId: RoomId, userId: UserId, signed: JsonObject | undefined): Promise<void> {
    if (signed === undefined) return
    const { sender } = signed
    await this.#exchange({ roomId, userId, inviter: toUserId(sender), signed })
  }

  async #exchange({ roomId, userId, inviter, signed }: ThirdPartyProof): Promise<void> {
    const { db, members, roomState } = this.#deps
    const { token } = signed
    if (typeof token !== 'string' || !isStateKey(token)) {
      throw badJson('third_party_signed.token must be a state key')
    }
    const room = await roomState.findRoom(roomId)
    if (!room || !(await members.hasLocalMember(db.reader, room.roomNid))) {
      if (inviter === undefined) throw forbidden('Nobody knows who sent the third-party invite')
      return this.#ask({ roomId, userId, inviter, signed }, undefined)
    }
    const invite = await roomState.getStateEvent(roomId, 'm.room.third_party_invite', token)
    if (!invite) throw forbidden('There is no such third-party invite')
    const { content, sender } = invite.event
    if (serverNameOf(sender) !== this.#deps.serverName) {
      return this.#ask({ roomId, userId, inviter: sender, signed }, content)
    }
    await this.#checkKeys(signed, content)
    await this.#invite(room, { sender, userId, content: toContent(signed, content) })
  }

  /**
   * The same for another server, one of whose users the third-party ID belongs to. Throws 404 `M_NOT_FOUND` for rooms that
   * this server is not in, `M_FORBIDDEN`, `M_BAD_JSON`.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid
   */
  async exchangeFor(origin: ServerName, roomId: RoomId, event: JsonObject): Promise<void> {
    const { db, members, roomState, acls } = this.#deps
    const room = await roomState.findRoom(roomId)
    if (!room || !(await members.hasLocalMember(db.reader, room.roomNid))) throw notFound('Unknown room')
    await acls?.require(roomId, origin)
    const { state_key: stateKey, content } = event
    const userId = toUserId(stateKey)
    const invite = isJsonObject(content) ? content['third_party_invite'] : undefined
    const signed = isJsonObject(invite) ? invite['signed'] : undefined
    if (userId === undefined || !isJsonObject(signed)) throw badJson('The event is no third-party invite')
    const { token } = signed
    if (typeof token !== 'string' || !isStateKey(token)) throw badJson('The token must be a state key')
    const stored = await roomState.getStateEvent(roomId, 'm.room.third_party_invite', token)
    if (stored && serverNameOf(stored.event.sender) !== this.#deps.serverName) {
      throw forbidden('This server has not sent the third-party invite')
    }
    await this.#exchange({ roomId, userId, inviter: undefined, signed })
  }

  /**
   * Takes the news that a third-party ID belongs to one of our users now, with the invitations that wait for it. What
   * fails does the others no harm. Throws what failed last when all have been tried, so that the identity server knows:
   * `M_BAD_JSON` for what is no invitation, `M_FORBIDDEN` for proofs that are none, and what other servers say.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv13pidonbind
   */
  async bind(invites: readonly unknown[]): Promise<void> {
    let failure: MatrixError | undefined
    for (const invite of invites.slice(0, MAX_BOUND)) {
      const proof = toProof(invite)
      if (proof && serverNameOf(proof.userId) !== this.#deps.serverName) continue
      try {
        if (!proof) throw badJson('invites: not all entries are invitations')
        await this.#exchange(proof)
      } catch (error) {
        if (error instanceof MatrixError) failure = error
        else this.#deps.onError(error)
      }
    }
    if (failure) throw failure
  }

  /**
   * An identity server that can revoke its keys is asked about the one that has signed; others only look at the signature,
   * so that all come to the same. Throws `M_FORBIDDEN`.
   * https://spec.matrix.org/latest/client-server-api/#server-behaviour-20
   */
  async #checkKeys(signed: JsonObject, invite: JsonObject): Promise<void> {
    const keys = keysOf(invite)
    if (keys.every(({ validityUrl }) => validityUrl === undefined)) return
    const signers = keys.filter(({ publicKey }) => hasValidSignature(signed, [publicKey]))
    for (const { publicKey, validityUrl } of signers) {
      if (validityUrl === undefined) return
      if (await this.#isValid({ publicKey, validityUrl })) return
    }
    throw forbidden('No key of the third-party invite is valid any more')
  }

  async #isValid(key: IdentityKey & { validityUrl: string }): Promise<boolean> {
    try {
      return await this.#deps.identity.isKeyValid(key)
    } catch (error) {
      if (error instanceof HttpFailure) return false
      throw error
    }
  }

  async #ask(
    { roomId, userId, inviter, signed }: ThirdPartyProof & { inviter: UserId },
    invite: JsonObject | undefined,
  ): Promise<void> {
    const { exchange, serverName } = this.#deps
    const server = serverNameOf(inviter)
    if (!exchange || server === serverName) {
      throw forbidden('The server of who sent the third-party invite cannot be reached')
    }
    await exchange.ask(server, { roomId, inviter, userId, content: toContent(signed, invite) })
  }

  async #invite(
    room: RoomRecord,
    { sender, userId, content }: { sender: UserId; userId: UserId; content: JsonObject },
  ): Promise<void> {
    if (serverNameOf(userId) !== this.#deps.serverName) {
      await this.#deps.remote.invite(room, { sender, userId, content })
      return
    }
    const { roomId } = room
    await this.#deps.sender.send(
      { userId: sender },
      { roomId, type: 'm.room.member', stateKey: userId, content },
    )
  }
}

function toContent(signed: JsonObject, invite: JsonObject | undefined): JsonObject {
  const displayName = invite?.['display_name']
  return {
    membership: 'invite',
    third_party_invite: { ...(typeof displayName === 'string' && { display_name: displayName }), signed },
  }
}

function toProof(invite: unknown): ThirdPartyProof | undefined {
  if (!isJsonObject(invite)) return undefined
  const { mxid, room_id: roomId, sender, signed } = invite
  const userId = toUserId(mxid)
  const parsed = typeof roomId === 'string' ? parseRoomId(roomId) : undefined
  if (parsed === undefined || userId === undefined || !isJsonObject(signed)) return undefined
  return { roomId: parsed, userId, inviter: toUserId(sender), signed }
}

function toUserId(value: unknown): UserId | undefined {
  return typeof value === 'string' ? parseUserId(value) : undefined
}

/** What no event has for a state key need not be looked for, and some of it cannot be. */
function isStateKey(text: string): boolean {
  return fitsBytes(text, MAX_ID_BYTES) && text.isWellFormed() && !text.includes('\u0000')
}

/** Each key once; what the event says of itself is about its first key. */
function keysOf(invite: JsonObject): IdentityKey[] {
  const listed = Array.isArray(invite['public_keys']) ? invite['public_keys'].filter(isJsonObject) : []
  const keys = new Map<string, IdentityKey>()
  for (const { public_key: publicKey, key_validity_url: url } of [...listed, invite]) {
    if (typeof publicKey !== 'string' || keys.has(publicKey)) continue
    keys.set(publicKey, { publicKey, validityUrl: typeof url === 'string' ? url : undefined })
  }
  return [...keys.values()].slice(0, MAX_KEYS)
}
