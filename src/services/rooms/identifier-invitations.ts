import type {
  Identifier,
  IdentityAccess,
  IdentityServerClient,
  StoredInvite,
} from '../../net/clients/identity-server-client.js'
import { forbidden, MatrixError } from '../../protocol/errors.js'
import { parseUserId, type RoomId, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { JsonObject } from '../../util/json.js'
import { parseIdentityServer } from '../accounts/identity-bindings.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { Requester } from '../accounts/requester.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import { checkNotSuspended } from '../accounts/suspension.js'
import type { EventSender } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'
import { identityFailure } from '../remote/identity-failure.js'
import type { Invitations } from './invitations.js'
import type { RoomMembership } from './room-membership.js'
import type { RoomPowers } from './room-powers.js'

/** Whom somebody wants to invite without knowing their user ID, and who may know it. */
export interface IdentifierWish extends Identifier {
  readonly access: IdentityAccess
}

export interface IdentifierOptions {
  /** The room is a direct chat with the invited. */
  readonly isDirect?: boolean | undefined
  /** False where the invitation has been counted against the limit already. */
  readonly isLimited?: boolean
}

export interface IdentifierInvitationsDependencies {
  readonly db: Database
  readonly client: Pick<IdentityServerClient, 'lookUp' | 'storeInvite'>
  readonly roomState: RoomState
  readonly members: RoomMembersStore
  readonly profiles: ProfilesStore
  readonly powers: RoomPowers
  readonly sender: EventSender
  readonly invitations: Pick<Invitations, 'checkMayInvite'>
  readonly membership: Pick<RoomMembership, 'setMembership'>
  readonly rateLimits: Pick<RateLimits, 'consumeFor'>
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayInviteAddress'> | undefined
  /** `enable_3pid_lookup`. */
  readonly isEnabled: boolean
}

const DESCRIPTION = [
  'm.room.avatar',
  'm.room.canonical_alias',
  'm.room.create',
  'm.room.join_rules',
  'm.room.name',
] as const

/**
 * Invitations of e-mail addresses and telephone numbers.
 * https://spec.matrix.org/latest/client-server-api/#third-party-invites
 */
export class IdentifierInvitations {
  readonly #deps: IdentifierInvitationsDependencies

  constructor(deps: IdentifierInvitationsDependencies) {
    this.#deps = deps
  }

  /**
   * Invites the user whom the identity server knows, or has it keep the invitation until somebody proves that the
   * identifier is theirs. Throws `M_FORBIDDEN`, `M_THREEPID_DENIED` where the configuration does not want it,
   * `M_INVALID_PARAM`, `M_LIMIT_EXCEEDED`, what `RoomMembership.invite` throws, and what `identityFailure` makes of the
   * identity server's refusals.
   */
  async invite(
    requester: Requester,
    roomId: RoomId,
    { wish, options = {} }: { wish: IdentifierWish; options?: IdentifierOptions },
  ): Promise<void> {
    checkNotSuspended(requester)
    const access = this.#checkWish(wish)
    const room = await this.#checkMayInvite(requester, roomId)
    if (options.isLimited !== false) await this.#consumeLimit(requester, 1)
    if (requester.isShadowBanned) return
    const identifier = { medium: wish.medium, address: canonicalAddress(wish) }
    const known = await this.#ask(() => this.#deps.client.lookUp(access, identifier))
    const userId = known === undefined ? undefined : parseUserId(known)
    if (userId !== undefined) {
      const content = { membership: 'invite', ...(options.isDirect && { is_direct: true }) }
      await this.#deps.membership.setMembership(requester, roomId, { userId, content })
      return
    }
    await this.#deps.spam?.mayInviteAddress(requester.userId, identifier, roomId)
    const description = await this.#describe(room, requester.userId)
    const invite = { ...description, ...identifier }
    const stored = await this.#ask(() => this.#deps.client.storeInvite(access, invite))
    await this.#deps.sender.send(
      { userId: requester.userId, deviceId: requester.deviceId },
      { roomId, type: 'm.room.third_party_invite', stateKey: stored.token, content: toContent(stored) },
    )
  }

  /**
   * What can be said before there is a room: counts the invitations, and throws `M_THREEPID_DENIED`, `M_INVALID_PARAM`,
   * `M_FORBIDDEN`, `M_LIMIT_EXCEEDED`.
   */
  async prepare(requester: Requester, wishes: readonly IdentifierWish[]): Promise<void> {
    if (wishes.length === 0) return
    for (const wish of wishes) this.#checkWish(wish)
    this.#deps.invitations.checkMayInvite(requester)
    await this.#consumeLimit(requester, wishes.length)
  }

  #checkWish({ access }: IdentifierWish): IdentityAccess {
    if (!this.#deps.isEnabled) {
      const message = 'Invitations by third-party identifiers are not allowed here'
      throw new MatrixError('M_THREEPID_DENIED', message)
    }
    return { ...access, server: parseIdentityServer(access.server) }
  }

  async #consumeLimit(requester: Requester, cost: number): Promise<void> {
    await this.#deps.rateLimits.consumeFor(requester, 'thirdPartyInvite', { cost })
  }

  /** Nobody learns of an identifier, and no server keeps an invitation, that the room would not have. */
  async #checkMayInvite(requester: Requester, roomId: RoomId): Promise<RoomRecord> {
    const { db, members, invitations, powers, roomState } = this.#deps
    const { userId, isGuest } = requester
    if (isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guest access not allowed')
    invitations.checkMayInvite(requester)
    const room = await roomState.findRoom(roomId)
    const member = room && (await members.get(db.reader, room.roomNid, userId))
    if (!room || member?.membership !== 'join') throw forbidden('You are not in the room')
    const power = await powers.get(room)
    if (power.levelOf(userId) < power.levels.invite)
      throw forbidden('You may not invite anybody to this room')
    return room
  }

  /** What the message to the invited says of the room and of who invites. */
  async #describe({ roomId }: RoomRecord, sender: UserId): Promise<JsonObject> {
    const { db, profiles, roomState } = this.#deps
    const [state, profile] = await Promise.all([
      roomState.getState(roomId, DESCRIPTION),
      profiles.get(db.reader, sender),
    ])
    const textOf = (type: (typeof DESCRIPTION)[number], key: string): string | undefined => {
      const found = state.find(({ event }) => event.type === type && event.stateKey === '')
      const text = found?.event.content[key]
      return typeof text === 'string' && text !== '' ? text : undefined
    }
    const described = {
      room_alias: textOf('m.room.canonical_alias', 'alias'),
      room_avatar_url: textOf('m.room.avatar', 'url'),
      room_join_rules: textOf('m.room.join_rules', 'join_rule'),
      room_name: textOf('m.room.name', 'name'),
      room_type: textOf('m.room.create', 'type'),
      sender_display_name: profile?.displayName,
      sender_avatar_url: profile?.avatarUrl,
    }
    const said = Object.entries(described).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    )
    return { ...Object.fromEntries(said), room_id: roomId, sender }
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question()
    } catch (error) {
      throw identityFailure(error)
    }
  }
}

/** https://spec.matrix.org/latest/appendices/#3pid-types */
function canonicalAddress({ medium, address }: Identifier): string {
  return medium === 'email' ? address.toLowerCase() : address
}

function toContent({ displayName, publicKeys }: StoredInvite): JsonObject {
  const [first] = publicKeys
  return {
    display_name: displayName,
    ...(first?.validityUrl !== undefined && { key_validity_url: first.validityUrl }),
    ...(first && { public_key: first.publicKey }),
    public_keys: publicKeys.map(({ publicKey, validityUrl }) => ({
      public_key: publicKey,
      ...(validityUrl !== undefined && { key_validity_url: validityUrl }),
    })),
  }
}
