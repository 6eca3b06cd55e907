import { forbidden, MatrixError, notFound } from '../../protocol/errors.js'
import { serverNameOf, type EventId, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import type { Database } from '../../storage/database.js'
import type { EventsStore, StoredEvent } from '../../storage/stores/events.js'
import type { ProfilesStore } from '../../storage/stores/profiles.js'
import type { MemberRecord, Membership, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import { KeyedMutex } from '../../util/keyed-mutex.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { Requester } from '../accounts/requester.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { RoomState } from '../events/room-state.js'
import type { InviteSender } from '../federation/invite-sender.js'
import type { HandshakeOutcome, HandshakeWish, JoiningHandshakes } from '../federation/joining-handshakes.js'
import type { LeavingHandshakes } from '../federation/leaving-handshakes.js'
import { serversFor } from '../federation/server-choice.js'
import type { RoomComplexity } from '../federation/room-complexity.js'
import type { ThirdPartyExchange } from '../federation/third-party-exchange.js'
import { memberContent } from './member-content.js'
import type { RemoteRoomLimit } from './remote-room-limit.js'

/** What other servers do for memberships. */
export interface MembershipHandshakes {
  readonly joining: JoiningHandshakes
  readonly leaving: LeavingHandshakes
  readonly inviting: InviteSender
  readonly exchange: ThirdPartyExchange
  readonly complexity: RoomComplexity
}

export interface RemoteMembershipDependencies {
  readonly db: Database
  readonly events: EventsStore
  readonly members: RoomMembersStore
  readonly profiles: ProfilesStore
  readonly roomState: RoomState
  readonly rateLimits: Pick<RateLimits, 'consumeFor'>
  /** Without them, there are no other servers. */
  readonly handshakes?: MembershipHandshakes | undefined
  readonly partialRooms?: Pick<PartialRooms, 'get'> | undefined
  /** Without it, rooms may be as large as they like. */
  readonly limit?: RemoteRoomLimit | undefined
  readonly serverName: ServerName
}

/** A join that another server has helped to. */
export interface RemoteJoin extends HandshakeOutcome {
  /** The room has turned out to be more than this server takes: it is to be left again, for this reason. */
  readonly refusal?: MatrixError | undefined
}

/** What is wanted of a room that this server is not in. */
export interface RemoteWish {
  readonly roomId: RoomId
  /** Without what servers alone may say. */
  readonly given: JsonObject
  /** Servers that the client knows to be in the room. */
  readonly via: readonly string[]
}

/** A room that this server is not in, and what its user is there. */
interface Outside {
  /** Undefined: never heard of. */
  readonly room: RoomRecord | undefined
  readonly member: MemberRecord | undefined
}

/** Memberships of rooms that this server is not in, or has nobody in who may let people in. */
export class RemoteMembership {
  readonly #deps: RemoteMembershipDependencies
  /** Two who join the same room come in one after the other, so that one handshake is enough. */
  readonly #locks = new KeyedMutex()

  constructor(deps: RemoteMembershipDependencies) {
    this.#deps = deps
  }

  /**
   * Joins through another server, once what is to be done `beforehand` is done. Undefined where this server is in the
   * room, which can then be joined here. Throws 404 `M_NOT_FOUND` where no server is known, `M_LIMIT_EXCEEDED`, 400
   * `M_RESOURCE_LIMIT_EXCEEDED` for rooms that are said to be too complex, and what other servers say.
   */
  async join(
    requester: Requester,
    wish: RemoteWish,
    options: { isLimited: boolean; beforehand?: () => Promise<void> },
  ): Promise<RemoteJoin | undefined> {
    if (!(await this.#findOutside(requester.userId, wish.roomId))) return this.#joinPartial(requester, wish)
    if (requester.isGuest) throw new MatrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guest access not allowed')
    if (options.isLimited) {
      await this.#deps.rateLimits.consumeFor(requester, 'joinsRemote')
      await this.#deps.rateLimits.consumeFor(requester, 'joinsPerRoom', { key: wish.roomId })
    }
    return this.#locks.run(wish.roomId, async () => {
      // Somebody else may have opened the room in the meantime.
      const outside = await this.#findOutside(requester.userId, wish.roomId)
      if (!outside) return undefined
      await options.beforehand?.()
      const handshake = await this.#toHandshake(requester.userId, wish, outside)
      const { limit } = this.#deps
      const isUnmeasured = await limit?.check(requester, wish.roomId, handshake.servers)
      const content = await this.#content(requester.userId, wish)
      const outcome = await this.#required.joining.join({ ...handshake, content })
      return { ...outcome, refusal: isUnmeasured ? await limit?.refusalOf(outcome.room) : undefined }
    })
  }

  /**
   * Of a room whose members are not all known, this server cannot tell who may come in: it asks those who can. Undefined
   * where the user is known to be a member, and where nobody answers.
   */
  async #joinPartial(
    requester: Requester,
    { roomId, given, via }: RemoteWish,
  ): Promise<HandshakeOutcome | undefined> {
    const { db, members, roomState, partialRooms, handshakes, serverName } = this.#deps
    const room = await roomState.findRoom(roomId)
    const partial = room && partialRooms?.get(room.roomNid)
    if (!room || !partial || !handshakes) return undefined
    const { userId } = requester
    if (await members.get(db.reader, room.roomNid, userId)) return undefined
    const servers = serversFor(roomId, [...partial.servers, ...via], serverName)
    const content = await this.#content(userId, { roomId, given, via })
    try {
      return await handshakes.joining.joinAgain(room, { roomId, userId, servers, content })
    } catch (error) {
      if (error instanceof MatrixError && error.status >= 500) return undefined
      throw error
    }
  }

  /** Joins a room that this server is in, by the grace of a member of another server. Throws as `join`. */
  async joinThrough(
    requester: Requester,
    room: RoomRecord,
    { given, via }: Omit<RemoteWish, 'roomId'>,
  ): Promise<EventId> {
    const { userId } = requester
    const { roomId } = room
    const servers = serversFor(roomId, via, this.#deps.serverName)
    const content = await this.#content(userId, { roomId, given, via })
    const outcome = await this.#required.joining.joinAgain(room, { roomId, userId, servers, content })
    return outcome.eventId
  }

  /** Knocks through another server. Undefined and throws as `join`. */
  async knock(requester: Requester, wish: RemoteWish): Promise<HandshakeOutcome | undefined> {
    const outside = await this.#findOutside(requester.userId, wish.roomId)
    if (!outside) return undefined
    if (outside.member?.membership === 'invite') throw forbidden('You are invited to the room')
    const handshake = await this.#toHandshake(requester.userId, wish, outside)
    const content = await this.#content(requester.userId, wish)
    return this.#required.joining.knock({ ...handshake, content })
  }

  /**
   * Declines an invitation, or takes back a knock. Undefined where this server is in the room, or the user is neither
   * invited nor knocks.
   */
  async leave(userId: UserId, wish: RemoteWish): Promise<HandshakeOutcome | undefined> {
    const outside = await this.#findOutside(userId, wish.roomId)
    if (!outside?.room || !outside.member || !WAITING.has(outside.member.membership)) return undefined
    const before = await this.#eventOf(outside.member)
    if (!before || !this.#deps.handshakes) return undefined
    const servers = serversFor(wish.roomId, [...doorOf(before), ...wish.via], this.#deps.serverName)
    const handshake = { roomId: wish.roomId, userId, servers, content: wish.given }
    return this.#deps.handshakes.leaving.leave(outside.room, before, handshake)
  }

  /** Invites a user of another server. Throws as `InviteSender`, 403 `M_FORBIDDEN` without other servers. */
  async invite(
    room: RoomRecord,
    invite: { sender: UserId; userId: UserId; content: JsonObject },
  ): Promise<EventId> {
    if (!this.#deps.handshakes) throw forbidden(`The server of ${invite.userId} cannot be reached`)
    return this.#deps.handshakes.inviting.invite(room, invite)
  }

  /** Undefined where somebody of this server is in the room. */
  async #findOutside(userId: UserId, roomId: RoomId): Promise<Outside | undefined> {
    const { db, members, roomState } = this.#deps
    const room = await roomState.findRoom(roomId)
    if (!room) return { room: undefined, member: undefined }
    if (await members.hasLocalMember(db.reader, room.roomNid)) return undefined
    return { room, member: await members.get(db.reader, room.roomNid, userId) }
  }

  async #toHandshake(
    userId: UserId,
    { roomId, via }: RemoteWish,
    { member }: Outside,
  ): Promise<Omit<HandshakeWish, 'content'>> {
    const known = member && WAITING.has(member.membership) ? await this.#eventOf(member) : undefined
    const servers = serversFor(roomId, [...via, ...(known ? doorOf(known) : [])], this.#deps.serverName)
    if (servers.length === 0 || !this.#deps.handshakes) throw notFound('No known server is in the room')
    return { roomId, userId, servers }
  }

  async #content(userId: UserId, { given }: RemoteWish): Promise<JsonObject> {
    const profile = await this.#deps.profiles.get(this.#deps.db.reader, userId)
    const { membership: _membership, ...content } = memberContent('join', given, profile)
    return content
  }

  async #eventOf({ eventNid }: MemberRecord): Promise<StoredEvent | undefined> {
    return (await this.#deps.events.getByNids(this.#deps.db.reader, [eventNid])).get(eventNid)
  }

  get #required(): MembershipHandshakes {
    if (!this.#deps.handshakes) throw notFound('No known server is in the room')
    return this.#deps.handshakes
  }
}

/** Memberships that somebody may have in a room that this server is not in. */
const WAITING: ReadonlySet<Membership> = new Set<Membership>(['invite', 'knock'])

/** The servers that the membership came through: of who invited, or of who took the knock. */
function doorOf({ event }: StoredEvent): string[] {
  const { unsigned } = event.json as { readonly unsigned?: unknown }
  const via = isJsonObject(unsigned) && Array.isArray(unsigned['via']) ? unsigned['via'] : []
  return [...via.filter((server) => typeof server === 'string'), serverNameOf(event.sender)]
}
