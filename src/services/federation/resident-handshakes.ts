import { forbidden, invalidParam, MatrixError, notFound } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import type { EventSigner } from '../../protocol/event-builder.js'
import { serverNameOf, type EventId, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import { pduJson, signEvent, toTemplate } from '../../protocol/pdu.js'
import { parseEvent } from '../../protocol/event-format.js'
import type { Database } from '../../storage/database.js'
import type { StoredEvent } from '../../storage/stores/events.js'
import type { RelayedEventsStore } from '../../storage/stores/relayed-events.js'
import type { MemberRecord, RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { RateLimits } from '../accounts/ratelimits.js'
import type { EventProposals } from '../events/event-proposals.js'
import type { EventReceiver } from '../events/event-receiver.js'
import type { RoomState } from '../events/room-state.js'
import type { PartialRooms } from '../events/partial-rooms.js'
import type { ExtremityCleanup } from './extremity-cleanup.js'
import type { PduIntake } from './pdu-intake.js'
import type { JoinAnswer, ResidentAnswers } from './resident-answers.js'
import type { ServerAcls } from './server-acls.js'

/** Whether somebody may join a room because they are in others. */
export type JoinJudgement =
  /** The join rule does not ask for it. */
  | { readonly kind: 'unrestricted' }
  | { readonly kind: 'authorised'; readonly by: UserId }
  /** The user is in none of the rooms that the rule names. */
  | { readonly kind: 'refused' }
  /** This server is not in all of those rooms, and knows of none that the user is in. */
  | { readonly kind: 'unknown' }
  /** Nobody of this server may let people in. */
  | { readonly kind: 'powerless' }

/** Knows who may join restricted rooms. */
export interface JoinAuthoriser {
  judge(room: RoomRecord, userId: UserId): Promise<JoinJudgement>
}

export interface ResidentHandshakesDependencies {
  readonly db: Database
  readonly members: RoomMembersStore
  readonly relayed: RelayedEventsStore
  readonly roomState: RoomState
  readonly proposals: EventProposals
  readonly receiver: EventReceiver
  readonly answers: ResidentAnswers
  readonly authoriser: JoinAuthoriser
  readonly partialRooms: Pick<PartialRooms, 'isSoonWhole'>
  readonly intake: PduIntake
  readonly acls: Pick<ServerAcls, 'require'>
  readonly ends: Pick<ExtremityCleanup, 'join'>
  readonly rateLimits: Pick<RateLimits, 'check' | 'consume'>
  readonly signer: EventSigner
}

/** How long others are kept waiting for a room that is not known whole yet. */
const MAX_WAIT_MS = 2_000

type Membership = 'join' | 'leave' | 'knock'

/** What another server asks a template for. */
export interface TemplateWish {
  readonly roomId: RoomId
  readonly userId: UserId
  /** The room versions that it supports; undefined where that does not matter. */
  readonly versions?: readonly string[]
}

/** An event that another server has made of a template. */
export interface HandedEvent {
  readonly roomId: RoomId
  /** As the path says. */
  readonly eventId: EventId
  readonly pdu: JsonObject | string
}

/**
 * The part of a server that is in the room, when users of another come, go and knock: it says where the event is to
 * stand, and takes it in. https://spec.matrix.org/latest/server-server-api/#joining-rooms
 */
export class ResidentHandshakes {
  readonly #deps: ResidentHandshakesDependencies

  constructor(deps: ResidentHandshakesDependencies) {
    this.#deps = deps
  }

  /**
   * Throws 404 `M_NOT_FOUND` for rooms that this server is not in, or does not know whole; `M_INCOMPATIBLE_ROOM_VERSION`,
   * `M_FORBIDDEN`, `M_LIMIT_EXCEEDED`, and for restricted rooms `M_UNABLE_TO_AUTHORISE_JOIN` and
   * `M_UNABLE_TO_GRANT_JOIN`.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_joinroomiduserid
   */
  async makeJoin(origin: ServerName, wish: TemplateWish): Promise<JsonObject> {
    const room = await this.#enter(origin, wish)
    this.#deps.rateLimits.check('joinsPerRoom', room.roomId)
    const authorising = await this.#authorise(room, wish.userId)
    return this.#template(room, wish.userId, {
      membership: 'join',
      ...(authorising !== undefined && { join_authorised_via_users_server: authorising }),
    })
  }

  /**
   * Throws 404 `M_NOT_FOUND`, `M_FORBIDDEN`.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_leaveroomiduserid
   */
  async makeLeave(origin: ServerName, wish: TemplateWish): Promise<JsonObject> {
    const room = await this.#enter(origin, wish, { mayBePartial: true })
    return this.#template(room, wish.userId, { membership: 'leave' })
  }

  /**
   * Throws 404 `M_NOT_FOUND`, `M_INCOMPATIBLE_ROOM_VERSION`, `M_FORBIDDEN` where the room takes no knocks.
   * https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_knockroomiduserid
   */
  async makeKnock(origin: ServerName, wish: TemplateWish): Promise<JsonObject> {
    const room = await this.#enter(origin, wish)
    return this.#template(room, wish.userId, { membership: 'knock' })
  }

  /**
   * Takes a join in and gives the room. Throws 400 `M_INVALID_PARAM` for what is no join of a user of the origin, 403
   * `M_FORBIDDEN` where the room refuses it, else as `makeJoin`.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_joinroomideventid
   */
  async sendJoin(
    origin: ServerName,
    handed: HandedEvent,
    options: { omitMembers: boolean },
  ): Promise<JoinAnswer> {
    const room = await this.#open(origin, handed.roomId)
    this.#deps.rateLimits.consume('joinsPerRoom', room.roomId)
    const stored = await this.#take(origin, room, { handed, membership: 'join' })
    const answer = await this.#deps.answers.toJoin(room, stored, options)
    await this.#deps.ends.join(room)
    return answer
  }

  /**
   * Throws as `sendJoin`.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2send_leaveroomideventid
   */
  async sendLeave(origin: ServerName, handed: HandedEvent): Promise<void> {
    const room = await this.#open(origin, handed.roomId, { mayBePartial: true })
    await this.#take(origin, room, { handed, membership: 'leave' })
  }

  /**
   * Gives what tells an outsider which room that is. Throws as `sendJoin`.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv1send_knockroomideventid
   */
  async sendKnock(origin: ServerName, handed: HandedEvent): Promise<JsonObject> {
    const room = await this.#open(origin, handed.roomId)
    await this.#take(origin, room, { handed, membership: 'knock' })
    return { knock_room_state: await this.#deps.answers.identifyingState(room) }
  }

  async #enter(
    origin: ServerName,
    { roomId, userId, versions }: TemplateWish,
    options: { mayBePartial?: boolean } = {},
  ): Promise<RoomRecord> {
    if (serverNameOf(userId) !== origin) throw forbidden('User not from origin server')
    const room = await this.#open(origin, roomId, options)
    if (versions !== undefined && !versions.includes(room.rules.version)) {
      throw incompatibleVersion(room.rules.version)
    }
    return room
  }

  /** The room, if this server is in it and lets the other speak. */
  async #open(
    origin: ServerName,
    roomId: RoomId,
    { mayBePartial = false }: { mayBePartial?: boolean } = {},
  ): Promise<RoomRecord> {
    const { db, members, roomState, acls, partialRooms } = this.#deps
    const room = await roomState.findRoom(roomId)
    if (!room || !(await members.hasLocalMember(db.reader, room.roomNid))) throw notFound('Unknown room')
    await acls.require(roomId, origin)
    // A room that we have just come into ourselves is mostly known whole in a moment.
    if (!mayBePartial && !(await partialRooms.isSoonWhole(room.roomNid, MAX_WAIT_MS))) {
      throw notFound('The room is not known whole yet')
    }
    return room
  }

  /** In whose name the user may join; undefined where that is not needed. */
  async #authorise(room: RoomRecord, userId: UserId): Promise<UserId | undefined> {
    const { db, members, authoriser } = this.#deps
    const before = await members.get(db.reader, room.roomNid, userId)
    if (isWelcome(before)) return undefined
    const judgement = await authoriser.judge(room, userId)
    switch (judgement.kind) {
      case 'unrestricted':
        return undefined
      case 'authorised':
        return judgement.by
      case 'refused':
        throw forbidden('You do not belong to any of the required rooms/spaces to join this room.')
      case 'unknown':
        throw new MatrixError(
          'M_UNABLE_TO_AUTHORISE_JOIN',
          'This server cannot tell whether the user may join',
        )
      case 'powerless':
        throw new MatrixError('M_UNABLE_TO_GRANT_JOIN', 'Nobody of this server may let the user in')
    }
  }

  async #template(room: RoomRecord, userId: UserId, content: JsonObject): Promise<JsonObject> {
    const draft = { type: 'm.room.member', stateKey: userId, content }
    const event = await this.#deps.proposals.propose(room, { draft, sender: userId })
    const template = { ...toTemplate(event), origin: this.#deps.signer.serverName }
    return { room_version: room.rules.version, event: template }
  }

  async #take(
    origin: ServerName,
    room: RoomRecord,
    { handed, membership }: { handed: HandedEvent; membership: Membership },
  ): Promise<StoredEvent> {
    const { intake, receiver, relayed } = this.#deps
    checkSigned(handed)
    const offered = parseEvent(room.rules, handed.pdu)
    checkHanded(offered, origin, { handed, membership })
    const ready = membership === 'join' ? await this.#countersign(room, offered) : offered
    const { events, refused } = await intake.check(room, [ready.exactText ?? pduJson(ready)])
    const [event] = events
    if (event === undefined) throw forbidden([...refused.values()][0] ?? 'The event cannot be verified')
    const reception = await receiver.receive(room, event, {
      inTransaction: (tx, eventNid) => relayed.insert(tx, eventNid, origin),
    })
    if (reception.outcome === 'missing')
      throw invalidParam('The event does not follow what this server knows')
    const { stored } = reception
    if (stored.rejected !== null || stored.softFailed) {
      throw forbidden(
        reception.outcome === 'rejected' ? reception.reason : 'The room does not allow this event',
      )
    }
    return stored
  }

  /** Signs for those whom a user of ours lets in. */
  async #countersign(room: RoomRecord, event: Event): Promise<Event> {
    const { signer } = this.#deps
    const authorising = event.content['join_authorised_via_users_server']
    if (!room.rules.restricted || typeof authorising !== 'string') return event
    if (serverNameOf(authorising) !== signer.serverName) return event
    await this.#authorise(room, event.sender)
    return signEvent(event, signer)
  }
}

/** Who is in the room or invited needs nobody to be let in. */
function isWelcome(member: MemberRecord | undefined): boolean {
  return member?.membership === 'join' || member?.membership === 'invite'
}

/** https://spec.matrix.org/latest/server-server-api/#get_matrixfederationv1make_joinroomiduserid */
export function incompatibleVersion(version: string): MatrixError {
  return new MatrixError(
    'M_INCOMPATIBLE_ROOM_VERSION',
    'Your homeserver does not support the features required to join this room',
    { fields: { room_version: version } },
  )
}

/** Templates come back with a hash and a signature, or nobody answers for them: that is said before all else. */
function checkSigned({ pdu }: HandedEvent): void {
  const json: unknown = typeof pdu === 'string' ? JSON.parse(pdu) : pdu
  const isSigned = isJsonObject(json) && isJsonObject(json['hashes']) && isJsonObject(json['signatures'])
  if (!isSigned) throw forbidden('The event is not signed')
}

/** Nothing but what was asked for passes through a handshake. */
function checkHanded(
  event: Event,
  origin: ServerName,
  { handed, membership }: { handed: HandedEvent; membership: Membership },
): void {
  if (event.roomId !== handed.roomId) throw invalidParam('The event is of another room than the path says')
  if (event.eventId !== handed.eventId) throw invalidParam('The event has another ID than the path says')
  if (event.type !== 'm.room.member' || event.stateKey === undefined)
    throw invalidParam('The event is no membership')
  if (event.content['membership'] !== membership) throw invalidParam(`The membership is not ${membership}`)
  if (event.stateKey !== event.sender) throw invalidParam("The membership is not the sender's own")
  if (serverNameOf(event.sender) !== origin) throw forbidden('User not from origin server')
}
