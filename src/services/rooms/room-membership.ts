import { forbidden, invalidParam, MatrixError, notFound } from '../../protocol/errors.js'
import {
  parseRoomAlias,
  parseRoomId,
  serverNameOf,
  type EventId,
  type RoomId,
  type ServerName,
  type UserId,
} from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { MemberRecord, Membership, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord, RoomsStore } from '../../storage/stores/rooms.js'
import type { JsonObject } from '../../util/json.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { Requester } from '../accounts/requester.js'
import type { SpamChecks } from '../accounts/spam-checks.js'
import { checkNotSuspended } from '../accounts/suspension.js'
import type { EventSender } from '../events/event-sender.js'
import type { RoomState } from '../events/room-state.js'
import type { Aliases } from './aliases.js'
import type { Invitations } from './invitations.js'
import type { JoinPermits } from './join-permits.js'
import { givenContent, memberContent } from './member-content.js'
import {
  badState,
  parseMembership,
  parseTarget,
  reasonContent,
  type JoinWish,
  type NamedRoom,
} from './membership-wishes.js'
import type { RemoteMembership, RemoteWish } from './remote-membership.js'
import type { RoomBlocks } from './room-blocks.js'
import { pretendedEventId } from './shadow-bans.js'
import type { ThirdPartyInvites } from './third-party-invites.js'

export interface MembershipOptions {
  /** `allow_per_room_profiles`. */
  readonly perRoomProfiles: boolean
  /** Who speaks for the server: such invitations cannot be declined. */
  readonly noticesFrom?: UserId | undefined
}

export interface RoomMembershipDependencies {
  readonly db: Database
  readonly rooms: RoomsStore
  readonly members: RoomMembersStore
  readonly profiles: ProfilesStore
  readonly roomState: RoomState
  readonly sender: EventSender
  readonly aliases: Aliases
  readonly invitations: Invitations
  readonly permits: JoinPermits
  readonly thirdPartyInvites: ThirdPartyInvites
  readonly remote: RemoteMembership
  /** Rooms that nobody may enter; without it, there are none. */
  readonly blocks?: Pick<RoomBlocks, 'check'> | undefined
  /** Services that say what is spam; without it, there are none. */
  readonly spam?: Pick<SpamChecks, 'mayJoin'> | undefined
  readonly serverName: ServerName
  readonly rateLimits: Pick<RateLimits, 'consumeFor'>
  /** Told of joins after they are committed and before they are answered; must not fail. */
  readonly onJoined: (userId: UserId, room: RoomRecord) => Promise<void>
  readonly options: MembershipOptions
}

/** Whose membership of which room somebody wants to change. */
interface Change {
  readonly room: RoomRecord
  readonly target: UserId
  readonly membership: Membership
  /** The client's content, in which the membership means nothing. */
  readonly given: JsonObject
  readonly before: MemberRecord | undefined
}

/** Memberships of rooms. https://spec.matrix.org/latest/client-server-api/#room-membership */
export class RoomMembership {
  readonly #deps: RoomMembershipDependencies

  constructor(deps: RoomMembershipDependencies) {
    this.#deps = deps
  }

  /** The room that an ID or an alias names. Throws `M_INVALID_PARAM` for neither, `M_NOT_FOUND` for unknown aliases. */
  async findRoom(roomIdOrAlias: string): Promise<NamedRoom> {
    const roomId = parseRoomId(roomIdOrAlias)
    if (roomId !== undefined) return { roomId, servers: [] }
    const alias = parseRoomAlias(roomIdOrAlias)
    if (alias === undefined) throw invalidParam(`${roomIdOrAlias} was not legal room ID or room alias`)
    return this.#deps.aliases.resolve(alias)
  }

  /**
   * Enters a room, through another server where nobody of this one is in it. Who is in it already stays as they are,
   * unless they bring content. Throws `M_NOT_FOUND` for rooms that no known server is in, `M_FORBIDDEN`, `M_BAD_STATE` for
   * the banned, `M_USER_SUSPENDED`, `M_LIMIT_EXCEEDED`, and what other servers say.
   */
  async join(requester: Requester, roomId: RoomId, wish: JoinWish = {}): Promise<EventId> {
    checkNotSuspended(requester)
    await this.#deps.blocks?.check(roomId)
    await this.#checkMayJoin(requester, roomId)
    const remote = await this.#deps.remote.join(requester, this.#toRemote(requester, roomId, wish), {
      isLimited: wish.isLimited !== false,
      beforehand: () =>
        this.#deps.thirdPartyInvites.exchange(roomId, requester.userId, wish.thirdPartySigned),
    })
    if (remote) {
      if (remote.refusal) {
        await this.leave(requester, roomId, undefined)
        throw remote.refusal
      }
      await this.#deps.onJoined(requester.userId, remote.room)
      return remote.eventId
    }
    const change = await this.#change(requester, {
      roomId,
      target: requester.userId,
      membership: 'join',
      content: wish.content ?? {},
    })
    if (wish.isLimited !== false) await this.#consumeJoinLimits(requester, change)
    return this.#join(requester, change, wish)
  }

  /** Asks to be let in. Throws as `join`; `M_FORBIDDEN` where one cannot knock. */
  async knock(
    requester: Requester,
    roomId: RoomId,
    reason: string | undefined,
    via: readonly string[] = [],
  ): Promise<EventId> {
    checkNotSuspended(requester)
    await this.#deps.blocks?.check(roomId)
    const wish = this.#toRemote(requester, roomId, { content: reasonContent(reason), via })
    const remote = await this.#deps.remote.knock(requester, wish)
    if (remote) return remote.eventId
    const change = await this.#change(requester, {
      roomId,
      target: requester.userId,
      membership: 'knock',
      content: reasonContent(reason),
    })
    return this.#send(requester, change)
  }

  /** Leaves a room, declines an invitation, takes back a knock. Throws `M_NOT_FOUND`, `M_FORBIDDEN` for strangers. */
  async leave(requester: Requester, roomId: RoomId, reason: string | undefined): Promise<void> {
    const content = reasonContent(reason)
    const remote = await this.#deps.remote.leave(requester.userId, { roomId, given: content, via: [] })
    if (remote) return
    const change = await this.#change(requester, {
      roomId,
      target: requester.userId,
      membership: 'leave',
      content,
    })
    await this.#send(requester, change)
  }

  /** Throws `M_FORBIDDEN`, `M_INVITE_BLOCKED`, `M_BAD_STATE` for the banned, `M_USER_SUSPENDED`, `M_LIMIT_EXCEEDED`. */
  async invite(
    requester: Requester,
    roomId: RoomId,
    { userId, reason, isLimited }: { userId: string; reason: string | undefined; isLimited?: boolean },
  ): Promise<void> {
    checkNotSuspended(requester)
    const content = reasonContent(reason)
    const target = parseTarget(userId)
    const change = await this.#change(requester, { roomId, target, membership: 'invite', content })
    await this.#invite(requester, change, isLimited !== false)
  }

  /** Throws `M_FORBIDDEN`, also for people who are not in the room; `M_USER_SUSPENDED`. */
  async kick(
    requester: Requester,
    roomId: RoomId,
    { userId, reason }: { userId: string; reason: string | undefined },
  ): Promise<void> {
    checkNotSuspended(requester)
    const content = reasonContent(reason)
    const target = parseTarget(userId)
    const change = await this.#change(requester, { roomId, target, membership: 'leave', content })
    const { before } = change
    if (before === undefined || before.membership === 'leave' || before.membership === 'ban') {
      throw forbidden('The target user is not in the room')
    }
    await this.#send(requester, change)
  }

  /** Throws `M_FORBIDDEN`. */
  async ban(
    requester: Requester,
    roomId: RoomId,
    { userId, reason }: { userId: string; reason: string | undefined },
  ): Promise<void> {
    await this.setMembership(requester, roomId, {
      userId,
      content: { ...reasonContent(reason), membership: 'ban' },
    })
  }

  /** Throws `M_FORBIDDEN`, 403 `M_BAD_STATE` for people who are not banned. */
  async unban(
    requester: Requester,
    roomId: RoomId,
    { userId, reason }: { userId: string; reason: string | undefined },
  ): Promise<void> {
    checkNotSuspended(requester)
    const content = reasonContent(reason)
    const target = parseTarget(userId)
    const change = await this.#change(requester, { roomId, target, membership: 'leave', content })
    if (change.before?.membership !== 'ban') {
      throw badState(
        `Cannot unban user who was not banned (membership=${change.before?.membership ?? 'none'})`,
      )
    }
    await this.#send(requester, change)
  }

  /**
   * Sets a membership as clients do with `m.room.member` state. Throws `M_INVALID_PARAM` for memberships and users that
   * are none, otherwise as the method for the membership does.
   */
  async setMembership(
    requester: Requester,
    roomId: RoomId,
    { userId, content }: { userId: string; content: JsonObject },
  ): Promise<EventId> {
    const target = parseTarget(userId)
    const membership = parseMembership(content['membership'])
    if (membership !== 'leave' && membership !== 'ban') checkNotSuspended(requester)
    if (requester.isSuspended && target !== requester.userId) checkNotSuspended(requester)
    if (membership === 'join' && target === requester.userId) {
      return this.join(requester, roomId, { content })
    }
    const change = await this.#change(requester, { roomId, target, membership, content })
    if (membership === 'invite') return this.#invite(requester, change, true)
    return this.#send(requester, change)
  }

  /** Hides a room that the requester has left from them. Throws `M_NOT_FOUND`, 400 `M_UNKNOWN` while they are in it. */
  async forget(requester: Requester, roomId: RoomId): Promise<void> {
    const { db, members, roomState } = this.#deps
    const { userId } = requester
    const room = await roomState.requireRoom(roomId)
    await db.write('forget_room', async (tx) => {
      const member = await members.get(tx, room.roomNid, userId)
      if (member === undefined) return
      if (member.membership !== 'leave' && member.membership !== 'ban') {
        throw new MatrixError('M_UNKNOWN', `User ${userId} is in room ${roomId}`, { status: 400 })
      }
      await members.setForgotten(tx, room.roomNid, userId)
    })
  }

  /** Whether anybody may join without being invited. */
  async isOpen(roomId: RoomId): Promise<boolean> {
    const joinRules = await this.#deps.roomState.getStateEvent(roomId, 'm.room.join_rules', '')
    return joinRules?.event.content['join_rule'] === 'public'
  }

  /** The rooms that somebody is in. */
  async listJoined(userId: UserId): Promise<RoomId[]> {
    const { db, members, rooms } = this.#deps
    const joined = await members.listForUser(db.reader, userId, ['join'])
    const records = await rooms.getByNids(
      db.reader,
      joined.map((member) => member.roomNid),
    )
    return [...records.values()].map((room) => room.roomId)
  }

  async #change(
    requester: Requester,
    wish: { roomId: RoomId; target: UserId; membership: Membership; content: JsonObject },
  ): Promise<Change> {
    const { db, members, roomState } = this.#deps
    const room = await roomState.findRoom(wish.roomId)
    if (!room) throw notFound('Not a known room')
    const before = await members.get(db.reader, room.roomNid, wish.target)
    const isOwn = wish.target === requester.userId
    if (requester.isGuest && !(isOwn && (wish.membership === 'join' || wish.membership === 'leave'))) {
      throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guest access not allowed')
    }
    if (before?.membership === 'ban' && wish.membership !== 'ban' && wish.membership !== 'leave') {
      throw isOwn
        ? forbidden('You are banned from the room')
        : badState(`${wish.target} is banned from the room`)
    }
    if (isOwn && wish.membership === 'leave' && before?.membership === 'invite') this.#checkMayDecline(before)
    const given = this.#given(requester, wish.content)
    return { room, target: wish.target, membership: wish.membership, given, before }
  }

  #checkMayDecline({ sender }: MemberRecord): void {
    if (sender !== this.#deps.options.noticesFrom) return
    throw new MatrixError('M_CANNOT_LEAVE_SERVER_NOTICE_ROOM', 'You cannot reject this invite')
  }

  /** Whoever is in the room stays so, whatever is said of them. */
  async #checkMayJoin({ userId, isAdmin }: Requester, roomId: RoomId): Promise<void> {
    const { db, members, roomState, spam } = this.#deps
    if (spam === undefined || isAdmin) return
    const room = await roomState.findRoom(roomId)
    const member = room && (await members.get(db.reader, room.roomNid, userId))
    if (member?.membership !== 'join') await spam.mayJoin(userId, roomId, member?.membership === 'invite')
  }

  #toRemote(requester: Requester, roomId: RoomId, { content = {}, via = [] }: JoinWish): RemoteWish {
    return { roomId, given: this.#given(requester, content), via }
  }

  #given(requester: Requester, content: JsonObject): JsonObject {
    const keepsProfile = this.#deps.options.perRoomProfiles && !requester.isShadowBanned
    return givenContent(content, { keepsProfile })
  }

  async #join(requester: Requester, change: Change, wish: JoinWish): Promise<EventId> {
    const { permits, profiles, remote, db } = this.#deps
    const { room, before, given, target } = change
    const isIn = before?.membership === 'join'
    if (isIn && Object.keys(given).length === 0) return this.#currentEventId(room, target)
    const [{ authorising, servers }, profile] = await Promise.all([
      permits.require(requester, room, { membership: before?.membership, proof: wish.thirdPartySigned }),
      profiles.get(db.reader, target),
    ])
    const eventId =
      servers === undefined
        ? await this.#sendContent(requester, change, {
            ...memberContent('join', given, profile),
            ...(authorising !== undefined && { join_authorised_via_users_server: authorising }),
          })
        : await remote.joinThrough(requester, room, { given, via: [...servers, ...(wish.via ?? [])] })
    if (!isIn) await this.#deps.onJoined(target, room)
    return eventId
  }

  async #invite(requester: Requester, change: Change, isLimited: boolean): Promise<EventId> {
    const { invitations, remote, serverName } = this.#deps
    const { target, room, given } = change
    if (change.before?.membership === 'join') throw forbidden(`${target} is already in the room.`)
    await this.#deps.blocks?.check(room.roomId)
    if (requester.isShadowBanned) return pretendedEventId()
    await invitations.check(requester, [target], room.roomId)
    if (isLimited) await invitations.consumeRateLimits(requester, [target], room.roomId)
    const content = (await invitations.contents([target], given)).get(target)!
    return serverNameOf(target) === serverName
      ? this.#sendContent(requester, change, content)
      : remote.invite(room, { sender: requester.userId, userId: target, content })
  }

  async #send(requester: Requester, change: Change): Promise<EventId> {
    const { membership, given, target } = change
    const isOwn = target === requester.userId
    const speaks = membership === 'knock' && isOwn
    const profile = speaks ? await this.#deps.profiles.get(this.#deps.db.reader, target) : undefined
    return this.#sendContent(requester, change, memberContent(membership, given, profile))
  }

  async #sendContent(requester: Requester, change: Change, content: JsonObject): Promise<EventId> {
    const { room, target } = change
    return this.#deps.sender.send(
      { userId: requester.userId, deviceId: requester.deviceId },
      { roomId: room.roomId, type: 'm.room.member', stateKey: target, content },
    )
  }

  async #currentEventId(room: RoomRecord, userId: UserId): Promise<EventId> {
    const stored = await this.#deps.roomState.getStateEvent(room.roomId, 'm.room.member', userId)
    if (!stored) throw new Error(`The membership of ${userId} in ${room.roomId} has no event`)
    return stored.event.eventId
  }

  async #consumeJoinLimits(requester: Requester, { room, before }: Change): Promise<void> {
    if (before?.membership === 'join') return
    const { rateLimits } = this.#deps
    await rateLimits.consumeFor(requester, 'joinsLocal')
    await rateLimits.consumeFor(requester, 'joinsPerRoom', { key: room.roomId })
  }
}
