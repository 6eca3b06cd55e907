import { isDeepStrictEqual } from 'node:util'
import { MatrixError, badJson } from '../../protocol/errors.js'
import type { Event } from '../../protocol/event.js'
import { serverNameOf, type EventId, type ServerName, type UserId } from '../../protocol/ids.js'
import { pduJson } from '../../protocol/pdu.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import { isJsonObject, type JsonObject } from '../../util/json.js'
import type { EventProposals } from '../events/event-proposals.js'
import type { EventReceiver } from '../events/event-receiver.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { PduIntake } from './pdu-intake.js'
import type { ResidentAnswers } from './resident-answers.js'
import { toClientError } from './server-choice.js'

export interface InviteSenderDependencies {
  readonly client: Pick<FederationClient, 'request'>
  readonly proposals: EventProposals
  readonly receiver: EventReceiver
  readonly intake: PduIntake
  readonly answers: Pick<ResidentAnswers, 'identifyingState'>
}

const TIMEOUT_MS = 60_000

/**
 * Invites users of other servers: their server signs the invitation before the room gets it.
 * https://spec.matrix.org/latest/server-server-api/#inviting-to-a-room
 */
export class InviteSender {
  readonly #deps: InviteSenderDependencies

  constructor(deps: InviteSenderDependencies) {
    this.#deps = deps
  }

  /**
   * Resolves when the invitation is part of the room. Rejects with 403 `M_FORBIDDEN` where the room or the other server
   * does not allow it, `M_INVITE_BLOCKED`, `M_UNSUPPORTED_ROOM_VERSION`, `M_BAD_JSON` where the other server gives back
   * something else than the invitation, 502 `M_CONNECTION_FAILED`.
   */
  async invite(
    room: RoomRecord,
    { sender, userId, content }: { sender: UserId; userId: UserId; content: JsonObject },
  ): Promise<EventId> {
    const { proposals, receiver } = this.#deps
    const draft = { type: 'm.room.member', stateKey: userId, content }
    const event = await proposals.propose(room, { draft, sender, origin: serverNameOf(sender) })
    const signed = await this.#countersigned(room, event, serverNameOf(userId))
    const reception = await receiver.receive(room, signed)
    if (reception.outcome === 'rejected' || reception.outcome === 'softFailed') {
      throw new MatrixError('M_FORBIDDEN', 'The room does not allow the invitation any more')
    }
    return event.eventId
  }

  async #countersigned(room: RoomRecord, event: Event, destination: ServerName): Promise<Event> {
    const answer = await this.#ask(room, event, destination)
    const given = answer['event']
    if (!isJsonObject(given)) throw badAnswer(destination)
    if (!isSameBut(given, event)) throw badJson(`${destination} has changed the invitation`)
    // Only signatures are taken from it: what is unsigned is for the other server to say to its own users.
    const { events } = await this.#deps.intake.check(room, [
      { ...pduJson(event), ...pick(given, 'signatures') },
    ])
    const [signed] = events
    if (signed?.eventId !== event.eventId || !isSignedBy(signed, destination)) throw badAnswer(destination)
    return signed
  }

  async #ask(room: RoomRecord, event: Event, destination: ServerName): Promise<JsonObject> {
    const state = await this.#deps.answers.identifyingState(room, event.sender)
    const body = { room_version: room.rules.version, event: pduJson(event), invite_room_state: state }
    try {
      return await this.#send(event, { destination, version: 'v2', body })
    } catch (error) {
      if (!isOld(error, room)) throw toInviteError(error)
    }
    const old = { ...pduJson(event), unsigned: { invite_room_state: state } }
    try {
      return await this.#send(event, { destination, version: 'v1', body: old })
    } catch (error) {
      throw toInviteError(error)
    }
  }

  #send(
    { roomId, eventId }: Event,
    { destination, version, body }: { destination: ServerName; version: 'v1' | 'v2'; body: JsonObject },
  ): Promise<JsonObject> {
    return this.#deps.client.request({
      destination,
      method: 'PUT',
      path: `/_matrix/federation/${version}/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId)}`,
      body,
      timeoutMs: TIMEOUT_MS,
      ignoreBackoff: true,
    })
  }
}

/** Whether the server may know the first form of the request only, which tells no room version. */
function isOld(error: unknown, { rules }: RoomRecord): boolean {
  return rules.eventIdFormat === 'v1' && error instanceof FederationError && error.isUnsupported
}

/** Clients know another name for rooms that the invited user's server does not understand. */
function toInviteError(error: unknown): unknown {
  if (error instanceof FederationError && error.errcode === 'M_INCOMPATIBLE_ROOM_VERSION') {
    return new MatrixError(
      'M_UNSUPPORTED_ROOM_VERSION',
      "The invited user's server does not support this room version",
    )
  }
  return toClientError(error)
}

function pick(json: JsonObject, key: string): JsonObject {
  return json[key] === undefined ? {} : { [key]: json[key] }
}

/** Whether it is the event but for who has signed it. Some servers name the ID where the room's version leaves it out. */
function isSameBut(given: JsonObject, event: Event): boolean {
  return isDeepStrictEqual(withoutAdditions(given), withoutAdditions(pduJson(event)))
}

function withoutAdditions(json: JsonObject): JsonObject {
  const { signatures: _signatures, unsigned: _unsigned, event_id: _eventId, ...kept } = json
  return kept
}

/** Which keys those are has been checked, but not that the server is among the signers. */
function isSignedBy({ json }: Event, server: ServerName): boolean {
  return Object.hasOwn(json.signatures, server)
}

function badAnswer(server: ServerName): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', `${server} has not signed the invitation`)
}
