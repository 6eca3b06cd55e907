import { forbidden, MatrixError } from '../../protocol/errors.js'
import type { EventSigner } from '../../protocol/event-builder.js'
import type { Event } from '../../protocol/event.js'
import type { EventId, RoomId, ServerName, UserId } from '../../protocol/ids.js'
import { annotateEvent, buildFromTemplate, pduJson } from '../../protocol/pdu.js'
import { getRoomVersionRules, ROOM_VERSIONS, type RoomVersionRules } from '../../protocol/room-versions.js'
import { pruneStrippedState } from '../../protocol/stripped-state.js'
import type { RelayedEventsStore } from '../../storage/stores/relayed-events.js'
import type { RoomRecord } from '../../storage/stores/rooms.js'
import type { Clock } from '../../util/clock.js'
import type { JsonObject, JsonValue } from '../../util/json.js'
import type { OutsideMemberships } from '../events/outside-memberships.js'
import type { RemoteRooms } from '../events/remote-rooms.js'
import { FederationError, type FederationClient } from '../remote/federation-client.js'
import type { PduReceiver } from './handshake-ports.js'
import { roomFacts } from './invite-receiver.js'
import type { JoinedRooms } from './joined-rooms.js'
import type { JoinsUnderWay } from './joins-under-way.js'
import { badAnswer, firstThatHelps } from './server-choice.js'

/** A membership of one of our users, to be had through other servers. */
export interface HandshakeWish {
  readonly roomId: RoomId
  readonly userId: UserId
  /** Besides the membership. */
  readonly content: JsonObject
  /** Who may help, the most promising first. */
  readonly servers: readonly ServerName[]
}

/** What a handshake has come to. */
export interface HandshakeOutcome {
  readonly room: RoomRecord
  readonly eventId: EventId
}

export interface JoiningHandshakesDependencies {
  readonly client: Pick<FederationClient, 'request'>
  readonly joined: JoinedRooms
  readonly underWay: Pick<JoinsUnderWay, 'run'>
  readonly receiver: PduReceiver
  readonly relayed: Pick<RelayedEventsStore, 'insert'>
  readonly outside: OutsideMemberships
  readonly remoteRooms: RemoteRooms
  readonly clock: Clock
  readonly signer: EventSigner
}

/** An event that one server has a place for. */
interface Prepared {
  readonly event: Event
  readonly server: ServerName
}

const MAKE_TIMEOUT_MS = 30_000
/** The state of a large room takes its time. */
const SEND_TIMEOUT_MS = 120_000
const MAX_JOIN_ANSWER_BYTES = 128 * 1024 * 1024

/**
 * Lets our users into rooms that this server is not in, and to their doors, through servers that are.
 * https://spec.matrix.org/latest/server-server-api/#joining-rooms
 */
export class JoiningHandshakes {
  readonly #deps: JoiningHandshakesDependencies

  constructor(deps: JoiningHandshakesDependencies) {
    this.#deps = deps
  }

  /**
   * Joins a room that this server is not in: resolves when the room can be used. Rejects with the most telling refusal:
   * `M_FORBIDDEN`, `M_NOT_FOUND`, `M_INCOMPATIBLE_ROOM_VERSION`, `M_UNABLE_TO_AUTHORISE_JOIN`,
   * `M_UNABLE_TO_GRANT_JOIN`, 502 `M_CONNECTION_FAILED` and what else servers say.
   */
  join(wish: HandshakeWish): Promise<HandshakeOutcome> {
    const joining = async (server: ServerName): Promise<HandshakeOutcome> => {
      const prepared = await this.#make(server, wish, 'join')
      const answer = await this.#sendJoin(prepared)
      const outcome = await this.#comeBack(prepared, answer)
      return outcome ?? this.#deps.joined.take(prepared.event, server, answer)
    }
    return this.#deps.underWay.run(wish.roomId, () => firstThatHelps(wish.servers, joining))
  }

  /** Joins a room that this server is in, but has nobody in who may let the user in. Rejects as `join`. */
  joinAgain(room: RoomRecord, wish: HandshakeWish): Promise<HandshakeOutcome> {
    return firstThatHelps(wish.servers, async (server) => {
      const prepared = await this.#make(server, wish, 'join')
      const answer = await this.#sendJoin(prepared)
      const outcome = await this.#follow(room, prepared, answer)
      if (!outcome) throw badAnswer('The join does not follow what this server knows')
      return outcome
    })
  }

  /** Knocks at a room that this server is not in. Rejects as `join`. */
  knock(wish: HandshakeWish): Promise<HandshakeOutcome> {
    return firstThatHelps(wish.servers, async (server) => {
      const prepared = await this.#make(server, wish, 'knock')
      const answer = await this.#send(prepared, '/_matrix/federation/v1/send_knock')
      const state = pruneStrippedState(answer['knock_room_state'])
      const room = await this.#deps.remoteRooms.ensure(roomFacts(prepared.event, state))
      const event = annotateEvent(prepared.event, { knock_room_state: state, via: [server] })
      await this.#deps.outside.store(room, event)
      return { room, eventId: event.eventId }
    })
  }

  /**
   * Goes on with a room that everybody of this server has left before all of its members were known: they are still being
   * asked for as of when it was joined first. Undefined where there is no such room, where the answer says more than is
   * known of it, and where what has happened meanwhile cannot be had.
   */
  async #comeBack(prepared: Prepared, answer: JsonObject): Promise<HandshakeOutcome | undefined> {
    const { joined } = this.#deps
    if (answer['members_omitted'] !== true) return undefined
    const unfinished = await joined.findUnfinished(prepared.event.roomId)
    if (!unfinished) return undefined
    const outcome = await this.#follow(unfinished.room, prepared, answer)
    if (outcome) await joined.keepUnfinished(unfinished)
    return outcome
  }

  /** Takes a join in as an event among others. Undefined where what it refers to cannot be had. */
  async #follow(
    room: RoomRecord,
    { event: join, server }: Prepared,
    answer: JsonObject,
  ): Promise<HandshakeOutcome | undefined> {
    const { joined, receiver, relayed } = this.#deps
    const event = await joined.signedEvent(join, answer)
    const reception = await receiver.receive(room, server, event, {
      // It is ours, but the server that helped has it already.
      inTransaction: (tx, eventNid) => relayed.insert(tx, eventNid, server),
    })
    if (reception.outcome === 'missing') return undefined
    if (reception.outcome === 'rejected') throw forbidden(reception.reason)
    return { room, eventId: event.eventId }
  }

  async #make(
    server: ServerName,
    { roomId, userId, content }: HandshakeWish,
    membership: 'join' | 'knock',
  ): Promise<Prepared> {
    const { client, clock, signer } = this.#deps
    const answer = await client.request({
      destination: server,
      method: 'GET',
      path: `/_matrix/federation/v1/make_${membership}/${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}`,
      query: { ver: [...ROOM_VERSIONS.keys()] },
      timeoutMs: MAKE_TIMEOUT_MS,
      ignoreBackoff: true,
    })
    const rules = requireRules(answer['room_version'])
    const use = { roomId, userId, membership, content, originServerTs: clock.now() }
    return { server, event: buildFromTemplate(rules, answer['event'], { use, signer }) }
  }

  async #sendJoin(prepared: Prepared): Promise<JsonObject> {
    try {
      return await this.#send(prepared, '/_matrix/federation/v2/send_join', { omit_members: 'true' })
    } catch (error) {
      if (!(error instanceof FederationError) || !error.isUnsupported) throw error
      return this.#send(prepared, '/_matrix/federation/v1/send_join')
    }
  }

  #send({ event, server }: Prepared, path: string, query?: Record<string, string>): Promise<JsonObject> {
    return this.#deps.client.request({
      destination: server,
      method: 'PUT',
      path: `${path}/${encodeURIComponent(event.roomId)}/${encodeURIComponent(event.eventId)}`,
      body: pduJson(event),
      ...(query && { query }),
      timeoutMs: SEND_TIMEOUT_MS,
      maxBytes: MAX_JOIN_ANSWER_BYTES,
      ignoreBackoff: true,
    })
  }
}

/** The version that a server says a room has; without a word it is the first. */
export function requireRules(version: JsonValue | undefined = '1'): RoomVersionRules {
  const rules = typeof version === 'string' ? getRoomVersionRules(version) : undefined
  if (rules === undefined) {
    throw new MatrixError(
      'M_INCOMPATIBLE_ROOM_VERSION',
      'This server does not support the version of the room',
      {
        fields: { room_version: typeof version === 'string' ? version : '' },
      },
    )
  }
  return rules
}
