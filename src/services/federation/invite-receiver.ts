import { badJson, forbidden, invalidParam, MatrixError } from '../../protocol/errors.js'
import type { EventSigner } from '../../protocol/event-builder.js'
import type { Event } from '../../protocol/event.js'
import { parseEvent } from '../../protocol/event-format.js'
import { serverNameOf, type EventId, type RoomId, type ServerName, type UserId } from '../../protocol/ids.js'
import { annotateEvent, pduJson, signEvent } from '../../protocol/pdu.js'
import { getRoomVersionRules, type RoomVersionRules } from '../../protocol/room-versions.js'
import { pruneStrippedState, type StrippedStateJson } from '../../protocol/stripped-state.js'
import type { Database } from '../../storage/database.js'
import type { RoomMembersStore } from '../../storage/stores/room-members.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject, type JsonValue } from '../../util/json.js'
import type { EventReceiver } from '../events/event-receiver.js'
import type { OutsideMemberships } from '../events/outside-memberships.js'
import type { RemoteRooms } from '../events/remote-rooms.js'
import type { RoomState } from '../events/room-state.js'
import type { PduIntake } from './pdu-intake.js'
import { incompatibleVersion } from './resident-handshakes.js'
import type { ServerAcls } from './server-acls.js'

/** An invitation as another server has sent it. */
export interface ForeignInvite {
  readonly roomId: RoomId
  /** As the path says. */
  readonly eventId: EventId
  readonly roomVersion: string
  readonly event: JsonObject
  /** `invite_room_state`. */
  readonly roomState: JsonValue | undefined
}

/** What the invited user's own server has to say of an invitation. */
export interface InvitePolicy {
  /** Throws 403 `M_FORBIDDEN`, `M_INVITE_BLOCKED`, 429 `M_LIMIT_EXCEEDED`. */
  check(event: Event, userId: UserId): Promise<void>
}

export interface InviteReceiverDependencies {
  readonly db: Database
  readonly members: RoomMembersStore
  readonly roomState: RoomState
  readonly receiver: EventReceiver
  readonly outside: OutsideMemberships
  readonly remoteRooms: RemoteRooms
  readonly intake: PduIntake
  readonly acls: Pick<ServerAcls, 'require'>
  readonly policy: InvitePolicy
  readonly signer: EventSigner
}

/** No more events of a room's state than this come with an invitation. */
const MAX_STATE_EVENTS = 100

/**
 * Takes invitations of our users by other servers.
 * https://spec.matrix.org/latest/server-server-api/#inviting-to-a-room
 */
export class InviteReceiver {
  readonly #deps: InviteReceiverDependencies

  constructor(deps: InviteReceiverDependencies) {
    this.#deps = deps
  }

  /**
   * Signs the invitation, keeps it and tells the user. Throws 400 `M_INCOMPATIBLE_ROOM_VERSION`, `M_BAD_JSON` for what is
   * no event, `M_INVALID_PARAM` for what is no invitation of one of our users by one of theirs, or comes with a state that
   * is none of the room; 403 `M_FORBIDDEN` where a signature is missing or wrong; 403 and 429 as the policy.
   * https://spec.matrix.org/latest/server-server-api/#put_matrixfederationv2inviteroomideventid
   */
  async receive(origin: ServerName, invite: ForeignInvite): Promise<JsonObject> {
    const { acls, policy, signer } = this.#deps
    const rules = getRoomVersionRules(invite.roomVersion)
    if (rules === undefined) throw incompatibleVersion(invite.roomVersion)
    const event = await this.#check(rules, origin, invite)
    await acls.require(event.roomId, origin)
    const state = await this.#checkState(rules, invite)
    const userId = event.stateKey as UserId
    await policy.check(event, userId)
    const signed = signEvent(event, signer)
    await this.#keep(signed, state)
    return pduJson(signed)
  }

  async #check(rules: RoomVersionRules, origin: ServerName, invite: ForeignInvite): Promise<Event> {
    const offered = parseInvite(rules, invite.event)
    if (offered.roomId !== invite.roomId)
      throw invalidParam('The event is of another room than the path says')
    if (offered.eventId !== invite.eventId) throw invalidParam('The event has another ID than the path says')
    if (offered.type !== 'm.room.member' || offered.content['membership'] !== 'invite') {
      throw invalidParam('The event is no invitation')
    }
    if (serverNameOf(offered.sender) !== origin) throw invalidParam("The sender is not the origin's user")
    if (offered.stateKey === undefined || serverNameOf(offered.stateKey) !== this.#deps.signer.serverName) {
      throw invalidParam('The invited user is not of this server')
    }
    const given = [offered.exactText ?? pduJson(offered)]
    const { events, refused } = await this.#deps.intake.check({ rules, roomId: offered.roomId }, given)
    const [event] = events
    if (event === undefined) throw forbidden([...refused.values()][0] ?? 'The event cannot be verified')
    return event
  }

  /**
   * Since version 12, rooms prove by their create event what they are. Who tells nothing of the room proves nothing, and
   * misleads nobody either.
   */
  async #checkState(
    rules: RoomVersionRules,
    { roomState, roomId }: ForeignInvite,
  ): Promise<StrippedStateJson[]> {
    const given = Array.isArray(roomState) ? roomState.slice(0, MAX_STATE_EVENTS) : []
    if (rules.roomIdIsCreateHash && given.length > 0) {
      // Synapse sends the create event whole, which is what proves the room, and of others what all may know.
      const whole = given.filter((entry) => isJsonObject(entry) && 'signatures' in entry)
      const { events, refused } = await this.#deps.intake.check({ rules, roomId }, whole)
      const [reason] = refused.values()
      if (events.length < whole.length) {
        throw invalidParam(`invite_room_state: ${reason ?? 'not all entries are events of the room'}`)
      }
      if (!events.some(({ type }) => type === 'm.room.create')) {
        throw invalidParam('invite_room_state lacks the create event')
      }
    }
    return pruneStrippedState(given)
  }

  async #keep(event: Event, state: readonly StrippedStateJson[]): Promise<void> {
    const { db, members, receiver, outside, remoteRooms, roomState } = this.#deps
    const known = await roomState.findRoom(event.roomId)
    if (known && (await members.hasLocalMember(db.reader, known.roomNid))) {
      // In a room that we are in, the event has its place; where it cannot be judged yet, it will come again.
      await receiver.receive(known, event)
      return
    }
    const room = known ?? (await remoteRooms.ensure(roomFacts(event, state)))
    if (room.rules !== event.rules) throw invalidParam('The room has another version')
    await outside.store(room, annotateEvent(event, { invite_room_state: [...state] }))
  }
}

/** What an outsider knows of a room. */
export function roomFacts(
  { roomId, rules, sender }: Event,
  state: readonly StrippedStateJson[],
): Omit<RoomRecord, 'roomNid'> {
  const create = state.find(({ type, state_key: stateKey }) => type === 'm.room.create' && stateKey === '')
  const roomType = create?.content['type']
  return {
    roomId,
    rules,
    creator: (create?.sender ?? sender) as UserId,
    roomType: typeof roomType === 'string' && !roomType.includes('\u0000') ? roomType : undefined,
  }
}

/** Malformed events are the sender's fault, and no more is said of them. */
function parseInvite(rules: RoomVersionRules, json: JsonObject): Event {
  try {
    return parseEvent(rules, json)
  } catch (error) {
    if (error instanceof MatrixError) throw badJson(error.message)
    throw error
  }
}
